import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { say } from "../state/notices.ts";
import type { Advice } from "../state/problems.ts";
import { type Card, cards, change, details, mayEdit, move } from "../state/story.ts";
import { cancel, discard, replace, retry, shrink } from "../state/uploading.ts";
import { Icon } from "./dialog.tsx";
import { remedyLabel } from "./remedies.ts";
import { clock } from "./words.ts";

interface Props {
  card: Card;
  place: number;
}

/** One frame: its image, how far it is, its caption; moved by the handle, by mouse, finger and keyboard. */
export function FrameCard({ card, place }: Props) {
  const item = useRef<HTMLLIElement>(null);
  const lifted = useSignal(false);
  const broken = useSignal("");
  const refocus = useRef(false);
  const each = details.value.seconds / cards.value.length;
  const number = place + 1;

  useLayoutEffect(() => {
    // A node that is moved in the document loses the focus.
    if (refocus.current) item.current?.querySelector<HTMLElement>(".grip")?.focus();
    refocus.current = false;
  }, [place]);

  const lift = (event: PointerEvent) => {
    if (event.button !== 0 || !mayEdit.value) return;
    event.preventDefault();
    (item.current?.querySelector(".grip") as HTMLElement | null)?.focus();
    lifted.value = true;
    follow(card.id, () => {
      lifted.value = false;
    });
  };
  const press = (event: KeyboardEvent) => {
    const to = target(event.key, place);
    if (to === undefined) return;
    event.preventDefault();
    refocus.current = to >= 0 && to < cards.value.length && to !== place;
    move(card.id, to);
    const now = cards.value.findIndex(({ id }) => id === card.id);
    say(`Frame moved to place ${now + 1} of ${cards.value.length}.`);
  };

  return (
    <li ref={item} class={lifted.value ? "card lifted" : "card"} data-card={card.id}>
      <div class="picture" onPointerDown={(event) => event.pointerType === "mouse" && lift(event)}>
        {broken.value === card.shown ? (
          <span class="broken">
            <Icon name="images" /> {card.name}
          </span>
        ) : (
          <img
            src={card.shown}
            alt={card.caption || card.name}
            draggable={false}
            width="320"
            height="180"
            onError={() => (broken.value = card.shown)}
          />
        )}
        <Meter card={card} />
      </div>
      <div class="line">
        <span class="number">{String(number).padStart(2, "0")}</span>
        <span class="time">
          {clock(place * each)}
          <span class="until">–{clock(number * each)}</span>
        </span>
        {mayEdit.value && (
          <>
            <button
              type="button"
              class="icon grip"
              aria-label={`Move frame ${number}`}
              title="Drag, or use the arrow keys"
              onPointerDown={lift}
              onKeyDown={press}
            >
              <Icon name="grip" />
            </button>
            <button type="button" class="icon" aria-label={`Remove frame ${number}`} onClick={() => discard(card.id)}>
              <Icon name="close" />
            </button>
          </>
        )}
      </div>
      <textarea
        rows={2}
        maxLength={2000}
        aria-label={`Caption of frame ${number}`}
        placeholder="What happens here?"
        readOnly={!mayEdit.value}
        value={card.caption}
        onInput={(event) => change(card.id, { caption: event.currentTarget.value })}
      />
      <Trouble card={card} number={number} />
    </li>
  );
}

/** How far the upload is, over the lower edge of the image. */
function Meter({ card: { id, upload, name } }: { card: Card }) {
  const stop = (
    <button type="button" class="icon" aria-label={`Cancel ${name}`} title="Cancel" onPointerDown={stay} onClick={() => cancel(id)}>
      <Icon name="close" />
    </button>
  );
  switch (upload.state) {
    case "waiting":
      return (
        <div class="meter">
          <span key="waiting">Waiting</span>
          {stop}
        </div>
      );
    case "sending":
    case "checking": {
      const part = upload.state === "sending" ? upload.part : 1;
      return (
        <div class="meter">
          <progress aria-label={`Upload of ${name}`} max={1} value={upload.state === "checking" ? undefined : part} />
          <span key="part">{upload.state === "checking" ? "Storing" : `${Math.round(part * 100)} %`}</span>
          {stop}
        </div>
      );
    }
    case "pausing":
      return (
        <div class="meter">
          <Countdown until={upload.until} why={upload.why} />
          {stop}
        </div>
      );
    default:
      return null;
  }
}

function Countdown({ until, why }: { until: number; why: "busy" | "connection" }) {
  const now = useSignal(Date.now());
  useEffect(() => {
    const timer = setInterval(() => (now.value = Date.now()), 500);
    return () => clearInterval(timer);
  }, [until]);
  const left = Math.max(1, Math.ceil((until - now.value) / 1000));
  return (
    <span>
      {why === "busy" ? "Busy" : "No connection"}, again in {left} s
    </span>
  );
}

/** What went wrong with this one image, and what can be done. */
function Trouble({ card, number }: { card: Card; number: number }) {
  const input = useRef<HTMLInputElement>(null);
  const { upload, id } = card;
  if (upload.state === "canceled") {
    return (
      <div class="trouble calm">
        <p>Canceled</p>
        <button type="button" class="small" aria-label={`Send frame ${number} after all`} onClick={() => retry(id)}>
          <Icon name="retry" /> Send after all
        </button>
      </div>
    );
  }
  if (upload.state !== "failed" && upload.state !== "kept") return null;
  const { title, detail, remedy }: Advice =
    upload.state === "kept"
      ? { title: `Not sent: ${upload.advice.title.toLowerCase()}`, detail: "It goes along when you save.", remedy: "retry" }
      : upload.advice;
  const chosen = (event: Event) => {
    const file = (event.currentTarget as HTMLInputElement).files?.[0];
    if (file) replace(id, file, file.name);
  };
  const act = () => {
    if (remedy === "shrink") void shrink(id);
    else if (remedy === "replace") input.current?.click();
    else retry(id);
  };
  return (
    <div class={upload.state === "kept" ? "trouble calm" : "trouble"} role={upload.state === "failed" ? "alert" : undefined}>
      <p>
        <strong>{title}</strong> {detail}
      </p>
      <input ref={input} type="file" accept="image/*" hidden aria-label={`Another image for frame ${number}`} onChange={chosen} />
      <button type="button" class="small" aria-label={`${remedyLabel(remedy ?? "retry")}: frame ${number}`} onClick={act}>
        {remedyLabel(remedy ?? "retry")}
      </button>
    </div>
  );
}

const stay = (event: Event) => event.stopPropagation();

function target(key: string, place: number): number | undefined {
  switch (key) {
    case "ArrowLeft":
    case "ArrowUp":
      return place - 1;
    case "ArrowRight":
    case "ArrowDown":
      return place + 1;
    case "Home":
      return 0;
    case "End":
      return cards.value.length - 1;
    default:
      return undefined;
  }
}

/** While the pointer is down, the card takes the place of the one below it. */
function follow(id: string, settled: () => void): void {
  const listening = new AbortController();
  const { signal } = listening;
  const end = () => {
    listening.abort();
    settled();
    const now = cards.value.findIndex((card) => card.id === id);
    say(`Frame moved to place ${now + 1} of ${cards.value.length}.`);
  };
  addEventListener(
    "pointermove",
    ({ clientX, clientY }) => {
      const below = document.elementFromPoint(clientX, clientY)?.closest<HTMLElement>("[data-card]")?.dataset.card;
      if (below && below !== id) move(id, cards.value.findIndex((card) => card.id === below));
    },
    { signal },
  );
  addEventListener("pointerup", end, { signal });
  addEventListener("pointercancel", end, { signal });
}
