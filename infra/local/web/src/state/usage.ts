/** What was used, as `analytics` tells it; a deployment may be without that function. */

import { signal } from "@preact/signals";
import { ProblemError } from "@videomaker/client/helper";
import { account } from "./account.ts";
import { helper, type Schemas } from "./api.ts";
import { type Advice, advice } from "./problems.ts";

export type Usage = Schemas["Usage"];

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
