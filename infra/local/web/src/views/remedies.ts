import type { Remedy } from "../state/problems.ts";

const LABELS: Record<Remedy, string> = {
  retry: "Try again",
  shrink: "Scale down and send",
  replace: "Choose another",
  sign_in: "Sign in",
  restart: "Start anew",
};

/** What the button for a remedy says. */
export const remedyLabel = (remedy: Remedy): string => LABELS[remedy];
