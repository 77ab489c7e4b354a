/** Templates: looks and words to begin with. */

import { signal } from "@preact/signals";
import { answered, api, type Schemas } from "./api.ts";
import { complain, say } from "./notices.ts";
import { details, followsFrames } from "./story.ts";
import { DEFAULTS, options } from "./video.ts";

export type Template = Schemas["Template"];

export const templates = signal<Template[]>([]);

export async function loadTemplates(): Promise<void> {
  try {
    const page = await answered(api().GET("/api/templates"));
    if ("templates" in page) templates.value = page.templates;
  } catch (error) {
    complain(error, { retry: () => void loadTemplates() });
  }
}

/** Begins with a template: its words are shown as what is sent where nothing is written, its looks are chosen. */
export function choose(templateId: string): void {
  const template = templates.value.find((one) => one.templateId === templateId);
  details.value = { ...details.value, templateId, templateData: {} };
  if (!template) return;
  const { aspect, motion, transition, captions } = template.video ?? {};
  options.value = {
    ...DEFAULTS,
    resolution: options.value.resolution,
    ...(aspect && { aspect }),
    ...(motion && { motion }),
    ...(transition && { transition }),
    ...(captions && { captions }),
  };
  if (!followsFrames.value) followsFrames.value = true;
  say(`${template.name} chosen.`);
}

export const chosen = () => templates.value.find((one) => one.templateId === details.value.templateId);
