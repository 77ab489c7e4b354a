import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { account } from "../state/account.ts";
import { accept, erase, type HistorySession, invitations, loading, look, lookForInvitations, next, query, sessions, trouble } from "../state/history.ts";
import { go } from "../state/routes.ts";
import { open } from "../state/saving.ts";
import { leave, showVideo } from "../state/video.ts";
import { isReady } from "./app.tsx";
import { Icon } from "./dialog.tsx";
import { day } from "./words.ts";

const asked = signal<string | undefined>(undefined);

/** What was made before. */
export function HistoryPage() {
  const { id, kind } = account.value;
  const ready = isReady.value;
  useEffect(() => {
    if (!ready) return;
    void look();
    void lookForInvitations();
  }, [id, kind, ready]);
  const search = (event: Event) => {
    event.preventDefault();
    void look();
  };
  return (
    <section class="step" aria-labelledby="history-title">
      <header>
        <h1 id="history-title">History</h1>
        <form role="search" class="search" onSubmit={search}>
          <input
            type="search"
            aria-label="Search prompts, stories and captions"
            placeholder="Search"
            value={query.value}
            onInput={(event) => {
              query.value = event.currentTarget.value;
              if (!query.value) void look();
            }}
          />
          <button type="submit">Search</button>
        </form>
      </header>
      <Invitations />
      {trouble.value && (
        <div class="trouble" role="alert">
          <p>
            <strong>{trouble.value.title}</strong> {trouble.value.detail}
          </p>
          <button type="button" class="small" onClick={() => void look()}>
            Try again
          </button>
        </div>
      )}
      <List />
    </section>
  );
}

function List() {
  if (loading.value === "first" && !sessions.value.length) return <p class="nothing soft">Looking …</p>;
  if (!sessions.value.length && !trouble.value) {
    return (
      <div class="nothing">
        <p class="lead">{query.value ? "Nothing fits" : "Nothing here yet"}</p>
        <p class="soft">{query.value ? "Try fewer or other words." : "What you save is listed here."}</p>
        {!query.value && (
          <a class="button" href="#/">
            Make a storyboard
          </a>
        )}
      </div>
    );
  }
  return (
    <>
      <ul class="sessions" aria-busy={loading.value !== "no"}>
        {sessions.value.map((session) => (
          <Session key={session.sessionId} session={session} />
        ))}
      </ul>
      {next.value && (
        <p class="buttons middle">
          <button type="button" disabled={loading.value !== "no"} onClick={() => void look(true)}>
            Show more
          </button>
        </p>
      )}
    </>
  );
}

const STATES: Record<string, string> = { frames_generated: "Storyboard", generating: "Being made", completed: "Video", failed: "Failed" };

function Session({ session }: { session: HistorySession }) {
  const { sessionId, originalPrompt, frames, videos, status, role, createdAt, frameCount, highlights } = session;
  const opened = async () => {
    leave();
    if (!(await open(sessionId))) return;
    go("storyboard");
    const [newest] = videos;
    if (newest) await showVideo(newest.videoId);
  };
  return (
    <li class="session">
      <button type="button" class="cover" aria-label={`Open: ${originalPrompt}`} onClick={() => void opened()}>
        {frames.slice(0, 4).map(({ frameNumber, thumbnailUrl, imageUrl }) => (
          <img key={frameNumber} src={thumbnailUrl ?? imageUrl ?? ""} alt="" loading="lazy" width="160" height="90" />
        ))}
      </button>
      <h2>{originalPrompt}</h2>
      {highlights?.slice(0, 1).map(({ frameNumber, fragments }) => (
        <p key={frameNumber} class="found">
          {frameNumber ? `Frame ${frameNumber}: ` : ""}
          {fragments.map(({ text, match }, place) => (match ? <mark key={place}>{text}</mark> : text))}
        </p>
      ))}
      <p class="soft">
        <span class={`state ${status}`}>{STATES[status ?? ""] ?? status}</span> {frameCount} {frameCount === 1 ? "frame" : "frames"},{" "}
        {day(createdAt)}
        {role !== "owner" && `, shared with you (${role})`}
      </p>
      <p class="buttons">
        <button type="button" class="small strong" onClick={() => void opened()}>
          Open
        </button>
        {role === "owner" && <Delete session={session} />}
      </p>
    </li>
  );
}

/** Asked twice, since it is for good. */
function Delete({ session: { sessionId, originalPrompt } }: { session: HistorySession }) {
  if (asked.value !== sessionId) {
    return (
      <button type="button" class="small" aria-label={`Delete: ${originalPrompt}`} onClick={() => (asked.value = sessionId)}>
        Delete
      </button>
    );
  }
  return (
    <>
      <button type="button" class="small danger" ref={(button) => button?.focus()} onClick={() => void erase(sessionId)}>
        Delete for good
      </button>
      <button type="button" class="small" onClick={() => (asked.value = undefined)}>
        Keep
      </button>
    </>
  );
}

function Invitations() {
  if (!invitations.value.length) return null;
  return (
    <ul class="list invitations">
      {invitations.value.map(({ memberId, originalPrompt, invitedBy, role }) => (
        <li key={memberId}>
          <span>
            <strong>{invitedBy ?? "Somebody"}</strong> lets you {role === "editor" ? "edit" : "see"} “{originalPrompt}”
          </span>
          <button type="button" class="strong" onClick={() => void accept(memberId).then((opens) => opens && go("storyboard"))}>
            <Icon name="check" /> Accept
          </button>
        </li>
      ))}
    </ul>
  );
}
