/** Where everything is, as `config.json` beside the page says. */

export interface Config {
  /** Where `/api/<function>` begins; empty where that is this very origin. */
  apiUrl: string;
  /** The functions' own URLs by name, where there is nothing in front of them. */
  functionUrls?: Record<string, string>;
  supabaseUrl: string;
  anonKey: string;
  /** Whether callers without credentials are let in. */
  guests: boolean;
  /** Pages about the functions, to be linked. */
  pages?: Record<string, string>;
}

let known: Config = { apiUrl: "", supabaseUrl: "", anonKey: "", guests: true };

export async function loadConfig(): Promise<void> {
  const answer = await fetch("./config.json");
  if (answer.ok) known = { ...known, ...((await answer.json()) as Partial<Config>) };
}

export function config(): Config {
  return known;
}

/** The base that a function's path is put behind. */
export function baseUrl(name: string): string {
  return known.functionUrls?.[name] ?? known.apiUrl;
}
