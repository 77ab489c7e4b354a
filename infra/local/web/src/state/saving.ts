/** Saving the storyboard, on top of the version that was read; and what is to be done where somebody else was faster. */

import { batch, effect, signal } from "@preact/signals";
import { type FrameInput, ProblemError, type Storyboard } from "@videomaker/client/helper";
import { arrive } from "./account.ts";
import { helper } from "./api.ts";
import { keep } from "./memory.ts";
import { clearComplaints, complain, say, warn } from "./notices.ts";
import * as story from "./story.ts";

export interface Conflict {
  theirs: Storyboard;
  differences: string[];
}

export const saving = signal(false);
export const opening = signal(false);
export const conflict = signal<Conflict | undefined>(undefined);

/** Saves what is on the table; whether it is saved then. What cannot be saved yet is complained about. */
export async function save(onTopOf = story.version.value): Promise<boolean> {
  if (story.isSaved.value) return true;
  if (saving.value) return false;
  saving.value = true;
  try {
    await arrival();
    if (!isComplete()) return false;
    await arrive();
    const sent = story.cards.value;
    const saved = await helper.saveStoryboard(
      { ...words(), ...(story.sessionId.value && { sessionId: story.sessionId.value }), frames: sent.map(frameOf) },
      { ifVersion: story.sessionId.value ? onTopOf : undefined },
    );
    batch(() => {
      story.sessionId.value = saved.sessionId;
      story.version.value = saved.version;
      // Images that came as data: URLs have an address now.
      saved.frames.forEach(({ imageUrl, thumbnailUrl }, place) => {
        const card = sent[place];
        if (!card || story.cardOf(card.id)?.imageUrl !== card.imageUrl) return;
        story.change(card.id, { imageUrl, thumbnailUrl: thumbnailUrl ?? "", file: undefined, upload: { state: "ready" } });
      });
      story.savedContent.value = contentAsSent(sent);
    });
    keep("sessionId", saved.sessionId);
    clearComplaints();
    say(`Saved as version ${saved.version}.`);
    return true;
  } catch (error) {
    if (error instanceof ProblemError && error.code === "version_conflict") await compare();
    else complain(error, { retry: () => void save(), restart: startAnew });
    return false;
  } finally {
    saving.value = false;
  }
}

/** Opens a stored storyboard. */
export async function open(sessionId: string): Promise<boolean> {
  opening.value = true;
  try {
    const found = await helper.readStoryboard(sessionId);
    story.clear();
    story.lay(found.session, found.frames);
    keep("sessionId", sessionId);
    return true;
  } catch (error) {
    complain(error, { retry: () => void open(sessionId), restart: startAnew });
    return false;
  } finally {
    opening.value = false;
  }
}

export function startAnew(): void {
  story.clear();
  keep("sessionId", undefined);
  clearComplaints();
}

/** Takes what the other has saved. */
export function takeTheirs(): void {
  const theirs = conflict.value?.theirs;
  conflict.value = undefined;
  if (!theirs) return;
  story.clear();
  story.lay(theirs.session, theirs.frames);
  say(`Their version ${theirs.version} is on the table.`);
}

/** Saves what is on the table in the place of what the other has saved. */
export async function keepMine(): Promise<boolean> {
  const theirs = conflict.value?.theirs;
  conflict.value = undefined;
  return theirs ? save(theirs.version) : false;
}

/** Resolves once no image is on its way any more. */
function arrival(): Promise<void> {
  return new Promise((resolve) => {
    let stop: (() => void) | undefined;
    stop = effect(() => {
      if (story.underWay.value > 0) return;
      resolve();
      queueMicrotask(() => stop?.());
    });
  });
}

function isComplete(): boolean {
  const count = story.unusable.value;
  if (!count && !story.isEmpty.value) return true;
  const one = count === 1;
  const missing = `${one ? "One image is" : `${count} images are`} not uploaded. Try again or remove ${one ? "it" : "them"}, then save.`;
  warn("Not saved yet", count ? missing : "Add an image first.");
  return false;
}

function words() {
  const { prompt, seconds, style, mood, templateId, templateData } = story.details.value;
  if (!templateId) {
    return {
      originalPrompt: prompt || "An untitled story",
      videoDuration: seconds,
      style: style || "natural",
      mood: mood || "calm",
    };
  }
  // What is left empty the template has.
  return {
    templateId,
    templateData,
    videoDuration: seconds,
    ...(prompt && { originalPrompt: prompt }),
    ...(style && { style }),
    ...(mood && { mood }),
  };
}

function frameOf({ caption, imageUrl }: story.Card, place: number): FrameInput {
  return { frameNumber: place + 1, imageUrl, description: caption.trim() || `Frame ${place + 1}` };
}

/** What the content would be if nothing had been changed since these cards were sent. */
function contentAsSent(sent: story.Card[]): string {
  const now = new Map(story.cards.value.map((card) => [card.id, card.imageUrl]));
  const rows = sent.map(({ id, caption, imageUrl }) => [id, caption, (now.get(id) ?? imageUrl).slice(0, 200)]);
  return JSON.stringify([story.details.value, rows]);
}

async function compare(): Promise<void> {
  const id = story.sessionId.value;
  if (!id) return;
  try {
    const theirs = await helper.readStoryboard(id);
    conflict.value = { theirs, differences: differencesTo(theirs) };
    say("Somebody else has saved this storyboard meanwhile.");
  } catch (error) {
    complain(error, { restart: startAnew });
  }
}

/** What is other in their version, frame by frame. */
function differencesTo({ session, frames }: Storyboard): string[] {
  const mine = story.cards.value;
  const found: string[] = [];
  if (session.originalPrompt !== (story.details.value.prompt || session.originalPrompt)) found.push("Another prompt");
  if (session.videoDuration !== story.details.value.seconds) found.push(`A length of ${session.videoDuration} s`);
  frames.forEach((frame, place) => {
    const card = mine[place];
    if (!card) found.push(`Frame ${place + 1} is only theirs`);
    else if (frame.imageUrl !== card.imageUrl) found.push(`Frame ${place + 1} shows another image`);
    else if (story.captionOf(frame) !== card.caption) found.push(`Frame ${place + 1} reads “${story.captionOf(frame)}”`);
  });
  if (mine.length > frames.length) found.push(`${mine.length - frames.length} of your frames are not in it`);
  return found;
}
