/** Links that anybody may watch by, and the people who may see or edit. */

import { signal } from "@preact/signals";
import { account } from "./account.ts";
import { answered, api, once, type Schemas } from "./api.ts";
import { type Advice, advice } from "./problems.ts";
import { sessionId } from "./story.ts";

export const links = signal<Schemas["ShareLink"][]>([]);
export const members = signal<Schemas["Member"][]>([]);
export const newLink = signal("");
export const trouble = signal<Advice | undefined>(undefined);
export const busy = signal(false);

/** Runs one thing at a time, and shows what went wrong beside it; whether it went well. */
async function act(doing: (id: string) => Promise<void>): Promise<boolean> {
  const id = sessionId.value;
  if (!id || busy.value) return false;
  busy.value = true;
  trouble.value = undefined;
  try {
    await doing(id);
    return true;
  } catch (error) {
    trouble.value = advice(error);
    return false;
  } finally {
    busy.value = false;
  }
}

export async function look(): Promise<void> {
  links.value = [];
  members.value = [];
  newLink.value = "";
  trouble.value = undefined;
  if (account.value.kind !== "guest") await act(list);
}

async function list(id: string): Promise<void> {
  const query = { sessionId: id };
  const [shares, people] = await Promise.all([
    answered(api().GET("/api/share", { params: { query } })),
    answered(api().GET("/api/members", { params: { query } })),
  ]);
  links.value = shares.shares.filter(({ state }) => state === "active");
  members.value = "members" in people ? people.members : [];
}

export const makeLink = () =>
  act(async (id) => {
    const made = await answered(api().POST("/api/share", { body: { sessionId: id }, params: { header: once() } }));
    newLink.value = made.url;
    await list(id);
  });

export const revoke = (shareId: string) =>
  act(async (id) => {
    await answered(api().DELETE("/api/share", { params: { query: { shareId } } }));
    newLink.value = "";
    await list(id);
  });

export const invite = (email: string, role: "editor" | "viewer") =>
  act(async (id) => {
    const body = { sessionId: id, email, role };
    await answered(api().POST("/api/members", { body, params: { header: once() } }));
    await list(id);
  });
