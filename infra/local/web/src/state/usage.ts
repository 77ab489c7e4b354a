/** What was used: read loosely, since a deployment may be without `analytics`. */

import { signal } from "@preact/signals";
import { ProblemError } from "@videomaker/client/helper";
import { account } from "./account.ts";
import { helper } from "./api.ts";
import { type Advice, advice } from "./problems.ts";

interface Sums {
  uploads: number;
  frames: number;
  videos: number;
  bytesIn: number;
  bytesStored: number;
  renderSeconds: number;
  shareViews: number;
  cost: { total: number };
}

export interface Usage {
  heldBytes: number;
  totals: Sums;
  days: (Sums & { day: string })[];
}

export type Shown =
  | { state: "loading" }
  | { state: "guest" }
  | { state: "absent" }
  | { state: "failed"; advice: Advice }
  | { state: "there"; usage: Usage };

export const shown = signal<Shown>({ state: "loading" });

export async function look(): Promise<void> {
  if (account.value.kind === "guest") {
    shown.value = { state: "guest" };
    return;
  }
  shown.value = { state: "loading" };
  try {
    const { data } = await helper.calls.call<Usage>("GET", "analytics");
    shown.value = { state: "there", usage: data };
  } catch (error) {
    const absent = error instanceof ProblemError && error.status === 404;
    shown.value = absent ? { state: "absent" } : { state: "failed", advice: advice(error) };
  }
}
