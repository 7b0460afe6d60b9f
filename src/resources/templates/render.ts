/** Fills the {{variables}} of a template; nothing in a template or in a value is ever evaluated. */

/** `{{name}}` or `{{name|fallback}}`, with spaces around either. */
const VARIABLE = /\{\{([^{}|]{1,100})(?:\|([^{}]{0,500}))?\}\}/g;

/**
 * Replaces each variable by its value, else by its fallback, else by nothing. `missing` names, once each, the variables
 * that had neither. An empty or blank value counts as absent. Values are inserted as they are: braces in them stay text.
 */
export function renderTemplate(
  text: string,
  values: Readonly<Record<string, unknown>>,
): { text: string; missing: string[] } {
  const missing = new Set<string>();
  const rendered = text.replaceAll(VARIABLE, (_match, name: string, fallback: string | undefined) => {
    const value = fillOf(values, name.trim());
    if (value !== null) return value;
    if (fallback !== undefined) return fallback.trim();
    missing.add(name.trim());
    return '';
  });
  return { text: rendered, missing: [...missing] };
}

/** The names of the variables in these texts, once each, in the order they appear. */
export function variablesOf(...texts: readonly string[]): string[] {
  const names = new Set<string>();
  for (const text of texts) {
    for (const [, name = ''] of text.matchAll(VARIABLE)) names.add(name.trim());
  }
  return [...names];
}

/** The variables of a text, each with the fallback that stands in where a value is absent (null where it has none). */
export function placeholdersOf(text: string): { name: string; fallback: string | null }[] {
  return [...text.matchAll(VARIABLE)].map(([, name = '', fallback]) => ({
    name: name.trim(),
    fallback: fallback?.trim() ?? null,
  }));
}

/** Whether these values fill the variable. */
export function fills(values: Readonly<Record<string, unknown>>, name: string): boolean {
  return fillOf(values, name) !== null;
}

function fillOf(values: Readonly<Record<string, unknown>>, name: string): string | null {
  // An own property only: {{constructor}} is a variable like any other.
  const value = Object.hasOwn(values, name) ? values[name] : null;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return typeof value === 'string' && value.trim() !== '' ? value : null;
}
