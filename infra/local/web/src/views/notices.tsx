import { dismiss, notices, said } from "../state/notices.ts";
import { Icon } from "./dialog.tsx";
import { remedyLabel } from "./remedies.ts";

/** Messages at the edge of the page; bad news stays until it is dismissed. */
export function Notices() {
  return (
    <>
      <p class="unseen" role="status" aria-live="polite">
        {said.value.text + (said.value.turn % 2 ? "\u00a0" : "")}
      </p>
      <div class="notices">
        {notices.value.map(({ id, kind, title, detail, remedy, act }) => (
          <div key={id} class={`notice ${kind}`} role={kind === "error" ? "alert" : "status"}>
            <div>
              <strong>{title}</strong>
              {detail && <p>{detail}</p>}
            </div>
            {act && remedy && (
              <button
                type="button"
                onClick={() => {
                  dismiss(id);
                  act();
                }}
              >
                {remedyLabel(remedy)}
              </button>
            )}
            <button type="button" class="icon" aria-label="Dismiss" onClick={() => dismiss(id)}>
              <Icon name="close" />
            </button>
          </div>
        ))}
      </div>
    </>
  );
}
