/** The storyboard on the table: its cards, its words, and what of it is saved. */

import { batch, computed, signal } from "@preact/signals";
import { type Frame, newKey, type Session } from "@videomaker/client/helper";
import type { Advice } from "./problems.ts";

export type Upload =
  | { state: "waiting" }
  | { state: "sending"; part: number }
  | { state: "checking" }
  | { state: "pausing"; until: number; why: "busy" | "connection" }
  | { state: "ready" }
  | { state: "kept"; advice: Advice }
  | { state: "failed"; advice: Advice }
  | { state: "canceled" };

export interface Card {
  id: string;
  caption: string;
  upload: Upload;
  /** The image itself, until it is stored. */
  file?: Blob | undefined;
  name: string;
  /** An address to show: of the stored thumbnail, or of the file. */
  shown: string;
  imageUrl: string;
  thumbnailUrl: string;
}

export interface Details {
  prompt: string;
  seconds: number;
  style: string;
  mood: string;
  templateId: string;
  templateData: Record<string, string | number | boolean>;
}

export const BLANK: Details = { prompt: "", seconds: 12, style: "", mood: "", templateId: "", templateData: {} };

export const cards = signal<Card[]>([]);
export const details = signal<Details>(BLANK);
export const sessionId = signal<string | undefined>(undefined);
export const version = signal<number | undefined>(undefined);
export const role = signal<Session["role"]>("owner");
/** What `content` was when it was saved. */
export const savedContent = signal("");
/** Whether the length follows the number of frames. */
export const followsFrames = signal(true);

export const SECONDS_PER_FRAME = 2;

export const content = computed(() =>
  JSON.stringify([details.value, cards.value.map(({ id, caption, imageUrl }) => [id, caption, imageUrl.slice(0, 200)])]),
);
export const isSaved = computed(() => sessionId.value !== undefined && content.value === savedContent.value);
export const isEmpty = computed(() => cards.value.length === 0);
export const mayEdit = computed(() => role.value !== "viewer");
export const underWay = computed(
  () => cards.value.filter(({ upload }) => !["ready", "kept", "failed", "canceled"].includes(upload.state)).length,
);
export const unusable = computed(
  () => cards.value.filter(({ upload }) => upload.state === "failed" || upload.state === "canceled").length,
);

export function newId(): string {
  return newKey();
}

export function change(id: string, changed: Partial<Card>): void {
  cards.value = cards.value.map((card) => (card.id === id ? { ...card, ...changed } : card));
}

export function cardOf(id: string): Card | undefined {
  return cards.value.find((card) => card.id === id);
}

/** Moves a card to a place, counted from 0. */
export function move(id: string, place: number): void {
  const from = cards.value.findIndex((card) => card.id === id);
  const to = Math.max(0, Math.min(cards.value.length - 1, place));
  if (from < 0 || from === to) return;
  const moved = [...cards.value];
  moved.splice(to, 0, ...moved.splice(from, 1));
  cards.value = moved;
}

/** Keeps the length at two seconds a frame until somebody sets it. */
export function fitLength(): void {
  if (!followsFrames.value || isEmpty.value) return;
  details.value = { ...details.value, seconds: Math.min(3600, cards.value.length * SECONDS_PER_FRAME) };
}

/** A caption is never empty where it is stored; one that says no more than this is shown as empty. */
export function captionOf(frame: { description: string; frameNumber: number }): string {
  return frame.description === `Frame ${frame.frameNumber}` ? "" : frame.description;
}

export function cardFrom(frame: Frame): Card {
  const { imageUrl, frameNumber } = frame;
  return {
    id: newId(),
    caption: captionOf(frame),
    upload: { state: "ready" },
    name: `Frame ${frameNumber}`,
    shown: frame.thumbnailUrl ?? imageUrl,
    imageUrl,
    thumbnailUrl: frame.thumbnailUrl ?? "",
  };
}

/** Lays a stored storyboard on the table. */
export function lay(session: Session, frames: Frame[]): void {
  batch(() => {
    sessionId.value = session.sessionId;
    version.value = session.version;
    role.value = session.role;
    followsFrames.value = false;
    details.value = {
      ...BLANK,
      prompt: session.originalPrompt,
      seconds: session.videoDuration,
      style: session.style,
      mood: session.mood,
      templateId: session.templateId ?? "",
    };
    cards.value = frames.map(cardFrom);
    savedContent.value = content.value;
  });
}

/** An empty table. */
export function clear(): void {
  batch(() => {
    for (const { shown } of cards.value) if (shown.startsWith("blob:")) URL.revokeObjectURL(shown);
    cards.value = [];
    details.value = BLANK;
    sessionId.value = undefined;
    version.value = undefined;
    role.value = "owner";
    followsFrames.value = true;
    savedContent.value = "";
  });
}
