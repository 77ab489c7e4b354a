import { conflict, keepMine, takeTheirs } from "../state/saving.ts";
import { version } from "../state/story.ts";
import { Dialog } from "./dialog.tsx";
import { day } from "./words.ts";

/** Somebody else has saved meanwhile: whose version shall it be? */
export function ConflictDialog() {
  const found = conflict.value;
  if (!found) return null;
  const { theirs, differences } = found;
  return (
    <Dialog title="Saved by somebody else meanwhile" onClose={() => (conflict.value = undefined)}>
      <p>
        You began with version {version.value}. Now there is version {theirs.version}, of {day(theirs.session.updatedAt)}. In it:
      </p>
      <ul class="differences">
        {differences.length === 0 && <li>Nothing that is other than yours</li>}
        {differences.slice(0, 8).map((one) => (
          <li key={one}>{one}</li>
        ))}
        {differences.length > 8 && <li>and {differences.length - 8} more</li>}
      </ul>
      <p class="buttons">
        <button type="button" class="main" onClick={takeTheirs}>
          Take theirs
        </button>
        <button type="button" class="strong" onClick={() => void keepMine()}>
          Keep mine on top
        </button>
      </p>
      <p class="soft">Close this to go on editing; nothing is saved until you decide.</p>
    </Dialog>
  );
}
