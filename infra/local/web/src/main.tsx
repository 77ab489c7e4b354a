/** Begins: reads where everything is, signs in as last time, lays out the draft. */

import { render } from "preact";
import { restore } from "./state/account.ts";
import { loadConfig } from "./state/config.ts";
import { keepDraft, restoreDraft } from "./state/draft.ts";
import { complain } from "./state/notices.ts";
import { loadTemplates } from "./state/templates.ts";
import { retryAll } from "./state/uploading.ts";
import { askAgain, stage } from "./state/video.ts";
import { App, isReady } from "./views/app.tsx";

render(<App />, document.getElementById("app") as HTMLElement);
void begin();

async function begin(): Promise<void> {
  try {
    await loadConfig();
    await restore();
    await restoreDraft();
  } catch (error) {
    complain(error, { retry: () => location.reload() });
  }
  isReady.value = true;
  keepDraft();
  void loadTemplates();
  addEventListener("online", () => {
    retryAll();
    if (stage.value.state === "failed") askAgain();
  });
}
