/** What an edit changed: short values whole, long texts word by word with what stayed the same folded. */

export interface Piece {
  kind: 'same' | 'old' | 'new';
  text: string;
}

/** Texts with more words than this are shown whole, old and new. */
const MOST_WORDS = 1_500;
/** Words that are shown on either side of a change. */
const AROUND = 8;

/** The pieces that turn one text into the other, word by word; the longest common sequence stays. */
export function diffWords(before: string, after: string): Piece[] {
  const old = before.split(/(\s+)/).filter((word) => word !== '');
  const fresh = after.split(/(\s+)/).filter((word) => word !== '');
  if (old.length > MOST_WORDS || fresh.length > MOST_WORDS) {
    return [piece('old', before), piece('new', after)].filter((one) => one.text !== '');
  }
  // lengths[i][j]: the longest common sequence of what stands behind word i and word j.
  const width = fresh.length + 1;
  const lengths = new Uint16Array((old.length + 1) * width);
  const at = (i: number, j: number) => lengths[i * width + j] ?? 0;
  for (let i = old.length - 1; i >= 0; i -= 1) {
    for (let j = fresh.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] =
        old[i] === fresh[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const pieces: Piece[] = [];
  let i = 0;
  let j = 0;
  while (i < old.length || j < fresh.length) {
    if (i < old.length && j < fresh.length && old[i] === fresh[j]) {
      push(pieces, 'same', old[i]);
      i += 1;
      j += 1;
    } else if (j >= fresh.length || (i < old.length && at(i + 1, j) >= at(i, j + 1))) {
      push(pieces, 'old', old[i]);
      i += 1;
    } else {
      push(pieces, 'new', fresh[j]);
      j += 1;
    }
  }
  return tidy(pieces);
}

/** Replaces what lies far from any change by "…". */
export function fold(pieces: readonly Piece[]): Piece[] {
  return pieces.map((one, index) => {
    if (one.kind !== 'same') return one;
    const words = one.text.split(/(\s+)/);
    const keep = AROUND * 2;
    const head = index === 0 ? 0 : keep;
    const tail = index === pieces.length - 1 ? 0 : keep;
    if (words.length <= head + tail + keep) return one;
    return piece(
      'same',
      `${words.slice(0, head).join('')} … ${tail === 0 ? '' : words.slice(-tail).join('')}`,
    );
  });
}

function piece(kind: Piece['kind'], text: string): Piece {
  return { kind, text };
}

function push(pieces: Piece[], kind: Piece['kind'], text = ''): void {
  const last = pieces.at(-1);
  if (last?.kind === kind) last.text += text;
  else pieces.push(piece(kind, text));
}

/** A lone space between two changes belongs to them: "old new old new" reads worse than "old old new new". */
function tidy(pieces: readonly Piece[]): Piece[] {
  const result: Piece[] = [];
  let old = '';
  let fresh = '';
  const flush = () => {
    if (old !== '') result.push(piece('old', old));
    if (fresh !== '') result.push(piece('new', fresh));
    old = '';
    fresh = '';
  };
  pieces.forEach((one, index) => {
    const between = one.kind === 'same' && /^[^\S\n]+$/.test(one.text) && (old !== '' || fresh !== '');
    if (one.kind === 'old') old += one.text;
    else if (one.kind === 'new') fresh += one.text;
    else if (between && index < pieces.length - 1) {
      old += one.text;
      fresh += one.text;
    } else {
      flush();
      result.push(one);
    }
  });
  flush();
  return result;
}
