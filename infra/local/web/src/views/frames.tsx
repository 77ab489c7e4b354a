import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { complain } from "../state/notices.ts";
import { drawSamples } from "../state/samples.ts";
import { opening, save, saving, startAnew } from "../state/saving.ts";
import { cards, change, details, isEmpty, isSaved, mayEdit, sessionId, underWay, version } from "../state/story.ts";
import { add } from "../state/uploading.ts";
import { leave } from "../state/video.ts";
import { FrameCard } from "./card.tsx";
import { Icon } from "./dialog.tsx";

const over = signal(false);
const drawing = signal(false);

/** The first step: images, in their order. */
export function FramesSection() {
  const input = useRef<HTMLInputElement>(null);
  useDroppedFiles();
  const choose = () => input.current?.click();
  return (
    <section class="step" aria-labelledby="frames-title">
      <header>
        <h1 id="frames-title">
          <span class="count">1</span> Frames
        </h1>
        <SaveState />
      </header>
      <input ref={input} type="file" accept="image/*" multiple hidden aria-label="Images" onChange={chosen} />
      {isEmpty.value ? (
        <div class={over.value ? "drop over" : "drop"}>
          <div class="strip" aria-hidden="true">
            <i /> <i /> <i /> <i />
          </div>
          <p class="lead">{opening.value ? "Opening the storyboard …" : "Drop your images here"}</p>
          <p class="soft">PNG, JPEG, WebP, GIF or AVIF, up to 50 MB each. They become a video.</p>
          <p class="buttons">
            <button type="button" class="main" onClick={choose}>
              <Icon name="images" /> Choose images
            </button>
            <button type="button" disabled={drawing.value} onClick={samples}>
              <Icon name="brush" /> {drawing.value ? "Drawing …" : "Draw six samples"}
            </button>
          </p>
        </div>
      ) : (
        <ol class={over.value ? "board over" : "board"}>
          {cards.value.map((card, place) => (
            <FrameCard key={card.id} card={card} place={place} />
          ))}
          {mayEdit.value && (
            <li class="more">
              <button type="button" onClick={choose}>
                <Icon name="plus" /> Add images
              </button>
            </li>
          )}
        </ol>
      )}
    </section>
  );
}

function SaveState() {
  const state = saving.value
    ? underWay.value
      ? "Waiting for images …"
      : "Saving …"
    : isSaved.value
      ? `Saved, version ${version.value}`
      : sessionId.value
        ? "Changed since it was saved"
        : isEmpty.value
          ? ""
          : "Not saved yet";
  return (
    <div class="save">
      <span class="soft" role="status">
        {mayEdit.value ? state : "You may look at this storyboard"}
      </span>
      {!isEmpty.value && (
        <>
          <button type="button" onClick={anew}>
            New
          </button>
          {mayEdit.value && (
            <button type="button" class="strong" disabled={saving.value || isSaved.value} onClick={() => void save()}>
              Save
            </button>
          )}
        </>
      )}
    </div>
  );
}

function anew(): void {
  leave();
  startAnew();
}

function chosen(event: Event): void {
  const input = event.currentTarget as HTMLInputElement;
  add(input.files ?? []);
  input.value = "";
}

async function samples(): Promise<void> {
  drawing.value = true;
  try {
    const drawn = await drawSamples();
    add(drawn.map(({ file }) => file));
    const added = cards.value.slice(-drawn.length);
    if (!details.value.prompt) details.value = { ...details.value, prompt: "A paper boat goes to sea, and comes home" };
    added.forEach(({ id }, place) => change(id, { caption: drawn[place]?.caption ?? "" }));
  } catch (error) {
    complain(error);
  } finally {
    drawing.value = false;
  }
}

/** Files may be dropped anywhere on the page. */
function useDroppedFiles(): void {
  useEffect(() => {
    const carriesFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    const enter = (event: DragEvent) => {
      if (!carriesFiles(event) || !mayEdit.value) return;
      event.preventDefault();
      over.value = true;
    };
    const leaving = (event: DragEvent) => {
      if (!event.relatedTarget) over.value = false;
    };
    const drop = (event: DragEvent) => {
      over.value = false;
      if (!carriesFiles(event) || !mayEdit.value) return;
      event.preventDefault();
      add(event.dataTransfer?.files ?? []);
    };
    const listening = new AbortController();
    const { signal: until } = listening;
    document.addEventListener("dragenter", enter, { signal: until });
    document.addEventListener("dragover", enter, { signal: until });
    document.addEventListener("dragleave", leaving, { signal: until });
    document.addEventListener("drop", drop, { signal: until });
    return () => listening.abort();
  }, []);
}
