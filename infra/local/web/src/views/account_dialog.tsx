import { signal, useSignal } from "@preact/signals";
import { account, canSignIn, signIn, signInAnonymously, signOut, signUp } from "../state/account.ts";
import { config } from "../state/config.ts";
import { moveAlong } from "../state/moving.ts";
import { clearComplaints, tell } from "../state/notices.ts";
import { startAnew } from "../state/saving.ts";
import { isEmpty } from "../state/story.ts";
import { leave } from "../state/video.ts";
import { Dialog } from "./dialog.tsx";

export const accountDialog = signal(false);

const TEXTS = {
  guest: "You are a guest: you can make storyboards and videos. To share them, sign in.",
  anonymous: "You are signed in anonymously, in this browser only. With an e-mail address you keep everything, everywhere.",
  user: "",
};

/** Signing in and out. */
export function AccountDialog() {
  const { kind, email: address } = account.value;
  const trouble = useSignal("");
  const busy = useSignal(false);
  const close = () => (accountDialog.value = false);

  const act = async (doing: () => Promise<void>, moves: boolean) => {
    busy.value = true;
    trouble.value = "";
    try {
      const before = account.value.id;
      await doing();
      clearComplaints();
      close();
      if (moves && account.value.id !== before && !isEmpty.value) await moveAlong();
      tell(account.value.kind === "guest" ? "Signed out" : "Signed in");
    } catch (error) {
      trouble.value = error instanceof Error ? error.message : String(error);
    } finally {
      busy.value = false;
    }
  };
  const leaveIt = async () => {
    await signOut();
    leave();
    startAnew();
  };

  return (
    <Dialog title={kind === "user" ? "Your account" : "Sign in"} onClose={close}>
      <p class="soft">{kind === "user" ? `You are signed in as ${address}.` : TEXTS[kind]}</p>
      {trouble.value && (
        <p class="trouble" role="alert">
          {trouble.value}
        </p>
      )}
      {!canSignIn() && <p class="trouble calm">Signing in is not set up here.</p>}
      {kind !== "user" && canSignIn() && <ByEmail busy={busy.value} act={act} />}
      <p class="buttons">
        {kind === "guest" && canSignIn() && (
          <button type="button" disabled={busy.value} onClick={() => void act(signInAnonymously, true)}>
            Sign in anonymously
          </button>
        )}
        {kind !== "guest" && (
          <button type="button" disabled={busy.value} onClick={() => void act(leaveIt, false)}>
            {config().guests ? "Sign out, and go on as a guest" : "Sign out"}
          </button>
        )}
      </p>
      {kind === "anonymous" && <p class="soft">Signing out leaves this account for good: what is in it cannot be reached any more.</p>}
    </Dialog>
  );
}

interface ByEmailProps {
  busy: boolean;
  act: (doing: () => Promise<void>, moves: boolean) => Promise<void>;
}

function ByEmail({ busy, act }: ByEmailProps) {
  const email = useSignal("");
  const password = useSignal("");
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const doing = (event.submitter as HTMLButtonElement | null)?.value === "new" ? signUp : signIn;
    void act(() => doing(email.value, password.value), true);
  };
  return (
    <form onSubmit={submit}>
      <label>
        E-mail
        <input type="email" required autoComplete="email" value={email.value} onInput={(event) => (email.value = event.currentTarget.value)} />
      </label>
      <label>
        Password
        <input
          type="password"
          required
          minLength={6}
          autoComplete="current-password"
          value={password.value}
          onInput={(event) => (password.value = event.currentTarget.value)}
        />
      </label>
      <p class="buttons">
        <button type="submit" class="main" disabled={busy} value="in">
          Sign in
        </button>
        <button type="submit" class="strong" disabled={busy} value="new">
          Create an account
        </button>
      </p>
    </form>
  );
}
