/** Which page is shown: the part of the address behind `#`. */

import { signal } from "@preact/signals";

export type Route = "storyboard" | "history" | "usage";

const ROUTES: Route[] = ["storyboard", "history", "usage"];

export const route = signal<Route>(here());

function here(): Route {
  const name = location.hash.replace(/^#\/?/, "") as Route;
  return ROUTES.includes(name) ? name : "storyboard";
}

addEventListener("hashchange", () => {
  route.value = here();
});

export function go(to: Route): void {
  location.hash = to === "storyboard" ? "/" : `/${to}`;
}
