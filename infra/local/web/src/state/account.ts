/** Who is using the page: signed in by e-mail, signed in without a name, or a guest. supabase-js is loaded when needed. */

import { signal } from "@preact/signals";
import type { Session, SupabaseClient } from "@supabase/supabase-js";
import { config } from "./config.ts";
import { recall } from "./memory.ts";

export interface Account {
  kind: "guest" | "anonymous" | "user";
  id?: string;
  email?: string;
}

const STORAGE_KEY = "videomaker.auth";

export const account = signal<Account>({ kind: "guest" });
let client: SupabaseClient | undefined;
let choseGuest = false;

/** Whether signing in is possible at all. */
export const canSignIn = () => Boolean(config().supabaseUrl);

async function supabase(): Promise<SupabaseClient> {
  if (!client) {
    const { createClient } = await import("@supabase/supabase-js");
    client = createClient(config().supabaseUrl, config().anonKey, {
      auth: { storageKey: STORAGE_KEY, detectSessionInUrl: false },
    });
    client.auth.onAuthStateChange((_event, session) => show(session));
  }
  return client;
}

function show(session: Session | null): void {
  if (!session) account.value = { kind: "guest" };
  else if (session.user.is_anonymous) account.value = { kind: "anonymous", id: session.user.id };
  else account.value = { kind: "user", id: session.user.id, email: session.user.email ?? "" };
}

/** Sign in as last time, where there was one. */
export async function restore(): Promise<void> {
  if (!canSignIn() || !localStorage.getItem(STORAGE_KEY)) return;
  const { data } = await (await supabase()).auth.getSession();
  show(data.session);
}

/** The access token, renewed where it has run out; undefined for a guest. */
export async function token(): Promise<string | undefined> {
  if (account.value.kind === "guest" || !client) return undefined;
  return (await client.auth.getSession()).data.session?.access_token;
}

let arriving: Promise<void> | undefined;

/** Before the first thing is stored: sign in without a name, so that it can be shared later; else stay a guest. */
export function arrive(): Promise<void> {
  arriving ??= (async () => {
    // Who is known as a guest stays one, and so keeps what is stored.
    if (account.value.kind !== "guest" || choseGuest || recall("userId") || !canSignIn()) return;
    try {
      await signInAnonymously();
    } catch {
      if (!config().guests) arriving = undefined;
    }
  })();
  return arriving;
}

export async function signInAnonymously(): Promise<void> {
  const { data, error } = await (await supabase()).auth.signInAnonymously();
  if (error) throw error;
  show(data.session);
}

export async function signIn(email: string, password: string): Promise<void> {
  const { data, error } = await (await supabase()).auth.signInWithPassword({ email, password });
  if (error) throw error;
  show(data.session);
}

/** A new account; who is signed in without a name gets one instead, and keeps everything. */
export async function signUp(email: string, password: string): Promise<void> {
  const { auth } = await supabase();
  if (account.value.kind === "anonymous") {
    const { error } = await auth.updateUser({ email, password });
    if (error) throw error;
    const { data } = await auth.refreshSession();
    show(data.session);
    return;
  }
  const { data, error } = await auth.signUp({ email, password });
  if (error) throw error;
  if (!data.session) throw new Error("Open the link in the e-mail that was sent to you, then sign in.");
  show(data.session);
}

/** Go on as a guest. */
export async function signOut(): Promise<void> {
  choseGuest = true;
  arriving = undefined;
  await client?.auth.signOut({ scope: "local" });
  show(null);
}
