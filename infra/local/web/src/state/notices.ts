/** Short messages at the edge of the page, and what a screen reader is told. */

import { signal } from "@preact/signals";
import { type Advice, advice, type Remedy } from "./problems.ts";

export interface Notice extends Advice {
  id: number;
  kind: "error" | "done";
  act?: (() => void) | undefined;
}

export const notices = signal<Notice[]>([]);
/** For the live region; what is said twice is to be heard twice. */
export const said = signal({ text: "", turn: 0 });

let last = 0;

export function say(text: string): void {
  said.value = { text, turn: said.value.turn + 1 };
}

export function dismiss(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

/** Good news, gone after a while. */
export function tell(title: string, detail = ""): void {
  const id = ++last;
  notices.value = [...notices.value, { id, kind: "done", title, detail }];
  setTimeout(() => dismiss(id), 6000);
}

/** Bad news, until it is dismissed; the same news only once. `remedies` are what the buttons do. */
export function complain(error: unknown, remedies: Partial<Record<Remedy, () => void>> = {}): void {
  const found = advice(error);
  const others = notices.value.filter((notice) => notice.title !== found.title);
  notices.value = [...others, { ...found, id: ++last, kind: "error", act: found.remedy && remedies[found.remedy] }];
}

/** What is to be done first. */
export function warn(title: string, detail: string): void {
  const others = notices.value.filter((notice) => notice.title !== title);
  notices.value = [...others, { id: ++last, kind: "error", title, detail }];
}

export function clearComplaints(): void {
  notices.value = notices.value.filter((notice) => notice.kind !== "error");
}
