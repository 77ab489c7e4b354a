/** What was made before, newest first, or what fits a search; and invitations that wait. */

import { signal } from "@preact/signals";
import { account } from "./account.ts";
import { answered, api, helper, once, type Schemas, whose } from "./api.ts";
import { complain, say, tell } from "./notices.ts";
import { type Advice, advice } from "./problems.ts";
import { open, startAnew } from "./saving.ts";
import { sessionId } from "./story.ts";

export type HistorySession = Schemas["HistorySession"];

export const sessions = signal<HistorySession[]>([]);
export const next = signal<string | undefined>(undefined);
export const query = signal("");
export const invitations = signal<Schemas["ReceivedInvitation"][]>([]);
export const loading = signal<"no" | "first" | "more">("no");
export const trouble = signal<Advice | undefined>(undefined);

let asking: AbortController | undefined;

/** Reads the first page, or with `more` the next one. What is asked later counts. */
export async function look(more = false): Promise<void> {
  asking?.abort();
  const mine = new AbortController();
  asking = mine;
  trouble.value = undefined;
  if (account.value.kind === "guest" && !helper.calls.userId) {
    sessions.value = [];
    return;
  }
  loading.value = more ? "more" : "first";
  try {
    const words = query.value.trim();
    const cursor = more ? next.value : undefined;
    const asked = { limit: 12, ...(words && { q: words }), ...(cursor && { cursor }), ...whose() };
    const page = await answered(api().GET("/api/history", { params: { query: asked }, signal: mine.signal }));
    if (typeof page !== "object" || !("sessions" in page)) return;
    sessions.value = more ? [...sessions.value, ...page.sessions] : page.sessions;
    next.value = page.nextCursor ?? undefined;
    if (words && !more) say(`${page.sessions.length}${next.value ? " and more" : ""} found.`);
  } catch (error) {
    if (!mine.signal.aborted) trouble.value = advice(error);
  } finally {
    if (asking === mine) loading.value = "no";
  }
}

export async function lookForInvitations(): Promise<void> {
  invitations.value = [];
  if (account.value.kind !== "user") return;
  try {
    const found = await answered(api().GET("/api/members"));
    if ("invitations" in found) invitations.value = found.invitations;
  } catch (error) {
    complain(error);
  }
}

/** Accepts an invitation and opens what it is to; whether it is open then. */
export async function accept(memberId: string): Promise<boolean> {
  try {
    const member = await answered(api().POST("/api/members", { body: { memberId }, params: { header: once() } }));
    invitations.value = invitations.value.filter((one) => one.memberId !== memberId);
    return await open(member.sessionId);
  } catch (error) {
    complain(error);
    return false;
  }
}

export async function erase(id: string): Promise<void> {
  try {
    await answered(api().DELETE("/api/history", { params: { query: { sessionId: id, ...whose() } } }));
    sessions.value = sessions.value.filter((one) => one.sessionId !== id);
    if (sessionId.value === id) startAnew();
    tell("Deleted for good");
  } catch (error) {
    complain(error, { retry: () => void erase(id) });
  }
}
