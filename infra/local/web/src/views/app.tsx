import { signal } from "@preact/signals";
import { account } from "../state/account.ts";
import { config } from "../state/config.ts";
import { type Route, route } from "../state/routes.ts";
import { conflict } from "../state/saving.ts";
import { AccountDialog, accountDialog } from "./account_dialog.tsx";
import { ConflictDialog } from "./conflict_dialog.tsx";
import { FramesSection } from "./frames.tsx";
import { HistoryPage } from "./history.tsx";
import { Notices } from "./notices.tsx";
import { ShareDialog, shareDialog } from "./share_dialog.tsx";
import { StorySection } from "./story.tsx";
import { UsagePage } from "./usage.tsx";
import { VideoSection } from "./video.tsx";

export const isReady = signal(false);

const PAGES: [Route, string][] = [
  ["storyboard", "Storyboard"],
  ["history", "History"],
  ["usage", "Usage"],
];

export function App() {
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <Header />
      <main id="main" tabIndex={-1}>
        {route.value === "storyboard" && <Storyboard />}
        {route.value === "history" && <HistoryPage />}
        {route.value === "usage" && <UsagePage />}
      </main>
      <footer>
        {isReady.value &&
          Object.entries(config().pages ?? {}).map(([title, address]) => (
            <a key={title} href={address}>
              {title}
            </a>
          ))}
      </footer>
      <Notices />
      {accountDialog.value && <AccountDialog />}
      {shareDialog.value && <ShareDialog />}
      {conflict.value && <ConflictDialog />}
    </>
  );
}

function Header() {
  const { kind, email } = account.value;
  const who = kind === "user" ? (email ?? "") : kind === "anonymous" ? "Anonymous" : "Guest";
  return (
    <header class="top">
      <a class="brand" href="#/">
        <span class="mark" aria-hidden="true" />
        Videomaker <span class="soft">playground</span>
      </a>
      <nav aria-label="Pages">
        {PAGES.map(([name, title]) => (
          <a key={name} href={name === "storyboard" ? "#/" : `#/${name}`} aria-current={route.value === name ? "page" : undefined}>
            {title}
          </a>
        ))}
      </nav>
      <button type="button" class="account" aria-haspopup="dialog" onClick={() => (accountDialog.value = true)}>
        <span class={`dot ${kind}`} aria-hidden="true" />
        <span class="name">{isReady.value ? who : "…"}</span>
      </button>
    </header>
  );
}

function Storyboard() {
  return (
    <div class={isReady.value ? "steps" : "steps waits"}>
      <FramesSection />
      <StorySection />
      <VideoSection />
    </div>
  );
}

function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}
