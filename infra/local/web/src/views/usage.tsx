import { useEffect, useRef } from "preact/hooks";
import { account, token } from "../state/account.ts";
import { baseUrl } from "../state/config.ts";
import { look, shown, type Usage } from "../state/usage.ts";
import { accountDialog } from "./account_dialog.tsx";
import { isReady } from "./app.tsx";
import { bytes, dollars, lasting } from "./words.ts";

/** Usage of the last thirty days, as far as the service tells it. */
export function UsagePage() {
  const { id } = account.value;
  const ready = isReady.value;
  useEffect(() => {
    if (ready) void look();
  }, [id, ready]);
  return (
    <section class="step" aria-labelledby="usage-title">
      <header>
        <h1 id="usage-title">Usage</h1>
        {shown.value.state === "there" && <Plots />}
      </header>
      <Content />
    </section>
  );
}

/**
 * Opens the page of plots, which takes the access token from a form, so that no address holds it. A frame within this
 * page would be under its policy, which allows no style but its own.
 */
function Plots() {
  const key = useRef<HTMLInputElement>(null);
  const open = async (event: SubmitEvent & { currentTarget: HTMLFormElement }) => {
    event.preventDefault();
    const form = event.currentTarget;
    if (key.current) key.current.value = (await token()) ?? "";
    form.submit();
    if (key.current) key.current.value = "";
  };
  return (
    <form method="post" action={`${baseUrl("analytics")}/api/analytics`} target="_blank" onSubmit={(event) => void open(event)}>
      <input ref={key} type="hidden" name="key" />
      <button>All plots</button>
    </form>
  );
}

function Content() {
  const now = shown.value;
  switch (now.state) {
    case "loading":
      return <p class="nothing soft">Looking …</p>;
    case "guest":
      return (
        <div class="nothing">
          <p class="lead">Guests are not counted one by one</p>
          <p class="soft">Sign in to see what you use, and what it costs.</p>
          <button type="button" onClick={() => (accountDialog.value = true)}>
            Sign in
          </button>
        </div>
      );
    case "absent":
      return (
        <div class="nothing">
          <p class="lead">Not available here</p>
          <p class="soft">This service does not tell its usage. Nothing else is missing.</p>
        </div>
      );
    case "failed":
      return (
        <div class="trouble" role="alert">
          <p>
            <strong>{now.advice.title}</strong> {now.advice.detail}
          </p>
          <button type="button" class="small" onClick={() => void look()}>
            Try again
          </button>
        </div>
      );
    case "there":
      return <Figures usage={now.usage} />;
  }
}

function Figures({ usage: { totals, heldBytes, budget, days } }: { usage: Usage }) {
  const tiles: [name: string, value: string, more: string][] = [
    ["Cost", dollars(totals.cost.total), budget === null ? "" : `of ${dollars(budget)} budget`],
    ["Videos", String(totals.videos), `${totals.videosFailed} failed`],
    ["Rendering", totals.renderSeconds ? lasting(totals.renderSeconds) : "0 s", "of workers"],
    ["Frames", String(totals.frames), "saved"],
    ["Uploads", String(totals.uploads), `${bytes(totals.bytesIn)} came in`],
    ["Storage held", bytes(heldBytes), "at present"],
    ["Views of links", String(totals.shareViews), "of videos shared"],
    ["Requests", String(totals.requests), `${totals.failures} failed`],
  ];
  const used = days.filter(({ requests, cost }) => requests > 0 || cost.total > 0).reverse();
  return (
    <>
      <p class="soft">The last {days.length} days.</p>
      <dl class="tiles">
        {tiles.map(([name, value, more]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              {value}
              <small>{more}</small>
            </dd>
          </div>
        ))}
      </dl>
      {used.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">Day</th>
              <th scope="col">Uploads</th>
              <th scope="col">Videos</th>
              <th scope="col">Cost</th>
            </tr>
          </thead>
          <tbody>
            {used.map(({ day, uploads, videos, cost }) => (
              <tr key={day}>
                <th scope="row">{day}</th>
                <td>{uploads}</td>
                <td>{videos}</td>
                <td>{dollars(cost.total)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}
