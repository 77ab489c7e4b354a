import { signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { account } from "../state/account.ts";
import { tell, warn } from "../state/notices.ts";
import { role } from "../state/story.ts";
import { busy, invite, links, look, makeLink, members, newLink, revoke, trouble } from "../state/sharing.ts";
import { accountDialog } from "./account_dialog.tsx";
import { Dialog } from "./dialog.tsx";
import { day } from "./words.ts";

export const shareDialog = signal(false);

/** Opens the dialog; a guest is told to sign in first. */
export function openShare(): void {
  if (account.value.kind === "guest") {
    warn("A link needs an account", "Sign in, by e-mail or anonymously: your storyboard moves along.");
    accountDialog.value = true;
    return;
  }
  shareDialog.value = true;
  void look();
}

export function ShareDialog() {
  const close = () => (shareDialog.value = false);
  return (
    <Dialog title="Share" onClose={close}>
      {trouble.value && (
        <p class="trouble" role="alert">
          <strong>{trouble.value.title}</strong> {trouble.value.detail}
        </p>
      )}
      <Links />
      {account.value.kind === "user" && <People />}
      {account.value.kind === "anonymous" && (
        <p class="soft">To invite others to edit, give your account an e-mail address first.</p>
      )}
    </Dialog>
  );
}

function Links() {
  const address = useRef<HTMLInputElement>(null);
  useEffect(() => address.current?.select(), [newLink.value]);
  return (
    <section>
      <h3>Link</h3>
      <p class="soft">Whoever has the link can watch, without an account.</p>
      {newLink.value ? (
        <p class="copy">
          <input ref={address} readOnly aria-label="Link" value={newLink.value} onFocus={(event) => event.currentTarget.select()} />
          <button type="button" class="strong" onClick={() => void copy(address.current)}>
            Copy
          </button>
          <a class="button" href={newLink.value} target="_blank" rel="noreferrer">
            Open
          </a>
        </p>
      ) : (
        <button type="button" class="main" disabled={busy.value} onClick={() => void makeLink()}>
          Make a link
        </button>
      )}
      {links.value.length > 0 && (
        <ul class="list">
          {links.value.map(({ shareId, createdAt, views }) => (
            <li key={shareId}>
              <span>
                Made {day(createdAt)}, {views} {views === 1 ? "view" : "views"}
              </span>
              <button type="button" class="small" aria-label={`Revoke the link of ${day(createdAt)}`} disabled={busy.value} onClick={() => void revoke(shareId)}>
                Revoke
              </button>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

async function copy(field: HTMLInputElement | null): Promise<void> {
  if (!field) return;
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    tell("Copied");
  } catch {
    tell("Press Ctrl-C to copy", "The browser did not allow it by itself.");
  }
}

function People() {
  const email = useSignal("");
  const as = useSignal<"editor" | "viewer">("editor");
  const send = async (event: Event) => {
    event.preventDefault();
    if (await invite(email.value, as.value)) email.value = "";
  };
  return (
    <section>
      <h3>People</h3>
      <ul class="list">
        {members.value.map(({ memberId, userId, email: address, role: one, status }) => (
          <li key={memberId ?? userId}>
            <span>{userId === account.value.id ? "You" : (address ?? "The owner")}</span>
            <span class="soft">{status === "accepted" ? one : `${one}, ${status}`}</span>
          </li>
        ))}
      </ul>
      {role.value === "owner" && (
        <form onSubmit={(event) => void send(event)}>
          <label>
            Invite by e-mail
            <input type="email" required value={email.value} onInput={(event) => (email.value = event.currentTarget.value)} />
          </label>
          <label>
            Role
            <select value={as.value} onChange={(event) => (as.value = event.currentTarget.value as "editor" | "viewer")}>
              <option value="editor">May edit</option>
              <option value="viewer">May look</option>
            </select>
          </label>
          <button type="submit" class="strong" disabled={busy.value}>
            Invite
          </button>
          <p class="soft">No e-mail is sent: tell them to look into their History here.</p>
        </form>
      )}
    </section>
  );
}
