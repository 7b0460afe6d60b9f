/** The parts that come after the first picture. They are fetched early and once, so that a later deploy takes none away. */

import { lazy } from 'react';

const cards = () => import('./cards.ts');
const rest = () => import('./rest.ts');

export const ApprovalCard = lazy(async () => ({ default: (await cards()).ApprovalCard }));
export const BatchSheet = lazy(async () => ({ default: (await cards()).BatchSheet }));
export const CsvImport = lazy(async () => ({ default: (await rest()).CsvImport }));
export const InboxPage = lazy(async () => ({ default: (await rest()).InboxPage }));
export const RenameDialog = lazy(async () => ({ default: (await rest()).RenameDialog }));
export const SignIn = lazy(async () => ({ default: (await rest()).SignIn }));
export const ToolDetails = lazy(async () => ({ default: (await rest()).ToolDetails }));

/** Fetches them all. */
export async function fetchLater(): Promise<void> {
  await Promise.all([cards(), rest()]);
}
