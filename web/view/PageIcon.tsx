/** The icons that only the page has: a widget does not carry them. */

import { Drawing } from './Icon.tsx';

const PATHS = {
  search: 'M9 15a6 6 0 1 1 0-12 6 6 0 0 1 0 12Zm4.5-1.5L17 17',
  archive: 'M3 4h14v4H3V4Zm1 4v8h12V8M8 11h4',
  menu: 'M3 5.5h14M3 10h14M3 14.5h14',
  bell: 'M5 13V9a5 5 0 0 1 10 0v4l1.5 2h-13L5 13Zm3.5 4h3',
} as const;

export function PageIcon({ name }: { name: keyof typeof PATHS }) {
  return <Drawing path={PATHS[name]} />;
}
