import { details, followsFrames, mayEdit } from "../state/story.ts";
import { choose, chosen, type Template, templates } from "../state/templates.ts";

type Field = NonNullable<NonNullable<Template["fields"]>["properties"]>[string];

/** The second step: what it is about, and how it looks. */
export function StorySection() {
  const template = chosen();
  const words: Partial<NonNullable<Template["storyboard"]>> = template?.storyboard ?? {};
  const { prompt, style, mood, seconds } = details.value;
  return (
    <section class="step" aria-labelledby="story-title">
      <header>
        <h2 id="story-title">
          <span class="count">2</span> Story
        </h2>
      </header>
      <fieldset class="plain" disabled={!mayEdit.value}>
        <Templates />
        {template && <MergeFields template={template} />}
        <div class="fields">
          <label class="wide">
            Prompt
            <textarea
              rows={2}
              maxLength={20000}
              placeholder={words.prompt ?? "What is the story about?"}
              value={prompt}
              onInput={(event) => set({ prompt: event.currentTarget.value })}
            />
          </label>
          <label>
            Style
            <input maxLength={100} placeholder={words.style ?? "natural"} value={style} onInput={(event) => set({ style: event.currentTarget.value })} />
          </label>
          <label>
            Mood
            <input maxLength={100} placeholder={words.mood ?? "calm"} value={mood} onInput={(event) => set({ mood: event.currentTarget.value })} />
          </label>
          <label>
            Length in seconds
            <input
              type="number"
              min={1}
              max={3600}
              value={seconds}
              onChange={(event) => {
                followsFrames.value = false;
                set({ seconds: Math.max(1, Math.min(3600, Math.round(event.currentTarget.valueAsNumber) || 1)) });
              }}
            />
          </label>
        </div>
      </fieldset>
    </section>
  );
}

function set(changed: Partial<typeof details.value>): void {
  details.value = { ...details.value, ...changed };
}

function Templates() {
  const none = { templateId: "", name: "No template", description: "Your own words and looks.", video: { aspect: undefined } };
  return (
    <fieldset class="templates">
      <legend>Template</legend>
      <div class="row">
        {[none, ...templates.value].map(({ templateId, name, description, video }) => (
          <label key={templateId} class="template" title={description}>
            <input
              type="radio"
              name="template"
              value={templateId}
              checked={details.value.templateId === templateId}
              onChange={() => choose(templateId)}
            />
            <span class={`shape a${(video?.aspect ?? "none").replace(":", "x")}`} aria-hidden="true" />
            <span class="title">{name}</span>
          </label>
        ))}
      </div>
      <p class="soft about">{(chosen() ?? none).description}</p>
    </fieldset>
  );
}

/** Values of a template's merge fields; what is left empty is what the template says. */
function MergeFields({ template }: { template: Template }) {
  const fields = Object.entries(template.fields?.properties ?? {});
  if (!fields.length) return null;
  return (
    <div class="fields merge">
      {fields.map(([name, field]) => (
        <label key={name}>
          {field.title ?? name}
          <MergeField name={name} field={field} />
        </label>
      ))}
    </div>
  );
}

function MergeField({ name, field }: { name: string; field: Field }) {
  const { templateData } = details.value;
  const put = (value: string | number | boolean | undefined) => {
    const { [name]: _, ...others } = templateData;
    set({ templateData: value === undefined ? others : { ...others, [name]: value } });
  };
  const value = templateData[name];
  if (field.enum) {
    return (
      <select value={String(value ?? field.default ?? "")} onChange={(event) => put(field.enum?.find((one) => String(one) === event.currentTarget.value))}>
        {field.enum.map((one) => (
          <option key={String(one)}>{String(one)}</option>
        ))}
      </select>
    );
  }
  if (field.type === "boolean") {
    return <input type="checkbox" checked={Boolean(value ?? field.default)} onChange={(event) => put(event.currentTarget.checked)} />;
  }
  const isNumber = field.type === "number" || field.type === "integer";
  return (
    <input
      type={isNumber ? "number" : "text"}
      placeholder={String(field.default ?? "")}
      value={value === undefined ? "" : String(value)}
      {...(field.minimum != null && { min: field.minimum })}
      {...(field.maximum != null && { max: field.maximum })}
      {...(field.maxLength != null && { maxLength: field.maxLength })}
      onInput={(event) => {
        const { value: text, valueAsNumber } = event.currentTarget;
        put(text === "" ? undefined : isNumber ? valueAsNumber : text);
      }}
    />
  );
}
