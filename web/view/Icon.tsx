/** The page's icons: lines in a box of 20 by 20, drawn in the colour of the text. */

const PATHS = {
  plus: 'M10 4v12M4 10h12',
  inbox: 'M3 11l2.5-7h9L17 11v5H3v-5Zm0 0h4l1 2h4l1-2h4',
  dots: 'M4.5 9.6a.4.4 0 1 0 .01 0M10 9.6a.4.4 0 1 0 .01 0M15.5 9.6a.4.4 0 1 0 .01 0',
  pencil: 'M4 16l1-4 8.5-8.5 3 3L8 15l-4 1Z',
  restore: 'M4 10a6 6 0 1 1 2 4.5M4 10V5m0 5h5',
  send: 'M10 16V4m0 0L5 9m5-5 5 5',
  stop: 'M6 6h8v8H6z',
  clip: 'M15.2 9.4l-5.6 5.6a3.4 3.4 0 0 1-4.8-4.8l6-6a2.3 2.3 0 0 1 3.2 3.2l-6 6a1.1 1.1 0 0 1-1.6-1.6l5.2-5.2',
  copy: 'M7 7h9v9H7zM4 13V4h9',
  check: 'M4 10.5 8.2 15 16 6',
  retry: 'M16 10a6 6 0 1 1-2-4.5M16 10V5m0 5h-5',
  close: 'M5 5l10 10M15 5 5 15',
  right: 'M8 5l5 5-5 5',
  left: 'M12 5l-5 5 5 5',
  down: 'M5 8l5 5 5-5',
  warning: 'M10 3.5 17.5 16.5h-15L10 3.5Zm0 5v4m0 2v.01',
  blocked: 'M10 17a7 7 0 1 1 0-14 7 7 0 0 1 0 14ZM5 5l10 10',
  clock: 'M10 17a7 7 0 1 1 0-14 7 7 0 0 1 0 14Zm0-11v4l3 2',
  note: 'M10 17a7 7 0 1 1 0-14 7 7 0 0 1 0 14Zm0-8v5m0-7.5v.01',
  mail: 'M3 5h14v10H3V5Zm0 1 7 5 7-5',
  people:
    'M7.5 10a3 3 0 1 1 0-6 3 3 0 0 1 0 6ZM2 16c0-3 2.4-4.5 5.5-4.5S13 13 13 16M13 4.2a3 3 0 0 1 0 5.6M15 12c2 .6 3 2 3 4',
  coin: 'M10 17a7 7 0 1 1 0-14 7 7 0 0 1 0 14Zm2.5-9.5c-.5-.8-1.4-1.2-2.5-1.2-1.5 0-2.6.7-2.6 1.8 0 2.7 5.3 1.2 5.3 3.9 0 1.1-1.1 1.8-2.7 1.8-1.2 0-2.2-.5-2.7-1.3M10 5v10',
  file: 'M5 3h7l3 3v11H5V3Zm7 0v3h3M8 10h4M8 13h4',
  spark: 'M10 3v4m0 6v4M3 10h4m6 0h4M5.2 5.2l2.4 2.4m4.8 4.8 2.4 2.4M14.8 5.2l-2.4 2.4m-4.8 4.8-2.4 2.4',
  box: 'M3 6.5 10 3l7 3.5v7L10 17l-7-3.5v-7Zm0 0 7 3.5 7-3.5M10 10v7',
  chart: 'M4 16V9m4 7V5m4 11v-5m4 5V7',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return <Drawing path={PATHS[name]} />;
}

export function Drawing({ path }: { path: string }) {
  return (
    <svg className="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={path} />
    </svg>
  );
}

/** The mark of the product: three rising bars under a bow. */
export function Mark() {
  return (
    <svg className="mark" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <rect className="mark-ground" width="24" height="24" rx="7" />
      <path className="mark-line" d="M6.5 16.5v-3M12 16.5V11m5.5 5.5v-8M6 9.5c2-3 5.5-4.5 9-4" />
    </svg>
  );
}
