import { isEmpty, mayEdit, underWay } from "../state/story.ts";
import { askAgain, cancelVideo, estimate, make, makeAgain, type Options, options, type Stage, stage } from "../state/video.ts";
import { Icon } from "./dialog.tsx";
import { openShare } from "./share_dialog.tsx";
import { bytes, clock, dollars, lasting } from "./words.ts";

const CHOICES: { [K in keyof Options]: [string, [Options[K], string][]] } = {
  aspect: ["Shape", [["16:9", "Wide, 16:9"], ["9:16", "Tall, 9:16"], ["1:1", "Square"], ["4:5", "Portrait, 4:5"]]],
  resolution: ["Quality", [[480, "480p, quick"], [720, "720p"], [1080, "1080p"]]],
  motion: [
    "Motion",
    [["auto", "Varied"], ["zoom_in", "Zoom in"], ["zoom_out", "Zoom out"], ["pan_left", "Pan left"], ["pan_right", "Pan right"],
     ["pan_up", "Pan up"], ["pan_down", "Pan down"], ["still", "Still"]],
  ],
  transition: ["Transition", [["crossfade", "Crossfade"], ["fade", "Fade through black"], ["cut", "Cut"]]],
  captions: ["Captions", [["none", "None"], ["burned", "In the picture"], ["sidecar", "As subtitles"]]],
};

/** The third step: an estimate, then the video on the screen. */
export function VideoSection() {
  const shape = options.value.aspect.replace(":", "x");
  return (
    <section class="step" aria-labelledby="video-title">
      <header>
        <h2 id="video-title">
          <span class="count">3</span> Video
        </h2>
      </header>
      <div class="making">
        <div class={`screen s${shape}`}>
          <Screen stage={stage.value} />
        </div>
        <div class="options">
          <Choice name="aspect" />
          <Choice name="resolution" />
          <Choice name="motion" />
          <Choice name="transition" />
          <Choice name="captions" />
          <button type="button" class="main" disabled={isEmpty.value || !mayEdit.value || isBusy(stage.value)} onClick={() => void estimate()}>
            <Icon name="play" /> Make the video
          </button>
        </div>
        <Facts />
      </div>
    </section>
  );
}

const isBusy = ({ state }: Stage) => state === "estimating" || state === "making" || state === "estimated";

function Choice<K extends keyof Options>({ name }: { name: K }) {
  const [title, values] = CHOICES[name];
  const pick = (text: string) => {
    const found = values.find(([value]) => String(value) === text);
    if (found) options.value = { ...options.value, [name]: found[0] };
  };
  return (
    <label>
      {title}
      <select value={String(options.value[name])} onChange={(event) => pick(event.currentTarget.value)}>
        {values.map(([value, text]) => (
          <option key={value} value={String(value)}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

function Screen({ stage: now }: { stage: Stage }) {
  switch (now.state) {
    case "empty":
      return (
        <div class="idle">
          <Icon name="play" />
          <p>{isEmpty.value ? "Add frames, and your video plays here." : "Your video plays here."}</p>
        </div>
      );
    case "estimating":
      return (
        <div class="idle">
          <span class="spinner" aria-hidden="true" />
          <p role="status">{underWay.value ? `Waiting for ${underWay.value} images …` : "Saving and planning …"}</p>
        </div>
      );
    case "estimated":
      return <Plan stage={now} />;
    case "making":
      return <Making stage={now} />;
    case "failed":
      return (
        <div class="idle" role="alert">
          <p class="lead">{now.advice.title}</p>
          <p>{now.advice.detail}</p>
          <button type="button" class="strong" onClick={() => (now.canRetry ? void makeAgain() : askAgain())}>
            <Icon name="retry" /> Try again
          </button>
        </div>
      );
    case "done": {
      const { videoUrl, posterUrl, captionsUrl } = now.video;
      return (
        <video key={videoUrl} controls playsInline crossOrigin="anonymous" src={videoUrl ?? ""} poster={posterUrl ?? ""} aria-label="The video">
          {captionsUrl && <track default kind="captions" srclang="en" label="Captions" src={captionsUrl} />}
        </video>
      );
    }
  }
}

function Plan({ stage: { estimate: plan } }: { stage: Stage & { state: "estimated" } }) {
  const again = plan.finishedClips ? `, ${plan.finishedClips} of them made already` : "";
  return (
    <div class="idle plan">
      <dl>
        <div>
          <dt>Ready in about</dt>
          <dd>{lasting(plan.estimatedSeconds)}</dd>
        </div>
        <div>
          <dt>Costs about</dt>
          <dd>{dollars(plan.estimatedCost)}</dd>
        </div>
        <div>
          <dt>Lasts</dt>
          <dd>{clock(plan.durationSeconds)}</dd>
        </div>
      </dl>
      <p>
        {plan.clipCount} {plan.clipCount === 1 ? "clip" : "clips"}
        {again}, {plan.width} × {plan.height}
      </p>
      {plan.warnings.map((warning) => (
        <p key={warning}>{warning}</p>
      ))}
      <p class="buttons">
        <button type="button" class="main" ref={(button) => button?.focus()} onClick={() => void make()}>
          Render it
        </button>
        <button type="button" onClick={() => (stage.value = { state: "empty" })}>
          Not now
        </button>
      </p>
    </div>
  );
}

const DOING: Record<string, string> = { queued: "Waiting for a renderer", rendering: "Rendering", merging: "Joining the clips" };

function Making({ stage: { video, clips } }: { stage: Stage & { state: "making" } }) {
  const progress = video?.progress ?? 0;
  const eta = video?.etaSeconds;
  return (
    <div class="idle">
      <p class="lead">{DOING[video?.status ?? ""] ?? "Beginning"} …</p>
      <progress aria-label="The video" max={1} value={progress} />
      <p class="figures">
        {Math.round(progress * 100)} %{eta ? `, about ${lasting(eta)} left` : ""}
      </p>
      {clips && (
        <ul class="clips" aria-label="Clips">
          {clips.map(({ clipNumber, status }) => (
            <li key={clipNumber} class={status}>
              <span class="unseen">
                Clip {clipNumber}: {status}
              </span>
            </li>
          ))}
        </ul>
      )}
      <button type="button" class="small" onClick={() => void cancelVideo()}>
        Cancel
      </button>
    </div>
  );
}

function Facts() {
  const now = stage.value;
  if (now.state !== "done") return <p class="facts soft">Each frame becomes a clip. Clips are made side by side, and only those that have changed.</p>;
  const { durationSeconds, width, height, bytes: size, cost, videoUrl, warnings } = now.video;
  return (
    <div class="facts">
      <p class="buttons">
        <button type="button" class="strong" onClick={openShare}>
          <Icon name="share" /> Share
        </button>
        <a class="button" href={videoUrl ?? ""} target="_blank" rel="noreferrer">
          Open the file
        </a>
      </p>
      <p class="soft">
        {clock(durationSeconds ?? 0)}, {width} × {height}
        {size ? `, ${bytes(size)}` : ""}
        {cost ? `, cost ${dollars(cost)}` : ""}
      </p>
      {warnings.map((warning) => (
        <p key={warning}>{warning}</p>
      ))}
    </div>
  );
}
