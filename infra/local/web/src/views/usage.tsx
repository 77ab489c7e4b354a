import { useEffect } from "preact/hooks";
import { account } from "../state/account.ts";
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
        {shown.value.state === "there" && (
          <a class="button" href={`${baseUrl("analytics")}/api/analytics?format=html`} target="_blank" rel="noreferrer">
            All plots
          </a>
        )}
      </header>
      <Content />
    </section>
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

function Figures({ usage: { totals, heldBytes, days } }: { usage: Usage }) {
  const tiles: [string, string][] = [
    ["Cost", dollars(totals.cost.total)],
    ["Videos", String(totals.videos)],
    ["Rendering", totals.renderSeconds ? lasting(totals.renderSeconds) : "0 s"],
    ["Frames", String(totals.frames)],
    ["Uploads", `${totals.uploads}, ${bytes(totals.bytesIn)}`],
    ["Storage held", bytes(heldBytes)],
    ["Views of links", String(totals.shareViews)],
  ];
  const used = days.filter(({ uploads, videos, frames }) => uploads + videos + frames > 0).reverse();
  return (
    <>
      <p class="soft">The last {days.length} days.</p>
      <dl class="tiles">
        {tiles.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
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
