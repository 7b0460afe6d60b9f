/** A CSV of leads on its way in: looked into first, imported when the person says so. */

import type { Client } from '../../src/client/client.ts';
import { ClientError } from '../../src/client/errors.ts';
import { type Fault, faultOf } from './faults.ts';
import { createStore, type Soon, type Store } from './store.ts';

/** What a lead has, in the order shown; the service's names (upload API). */
export const LEAD_FIELDS = [
  'email',
  'first_name',
  'last_name',
  'full_name',
  'company',
  'title',
  'city',
  'country',
  'website',
  'phone',
] as const;
export type LeadField = (typeof LEAD_FIELDS)[number];

export interface CsvInfo {
  row_count: number;
  columns: string[];
  sample_data: Record<string, string>[];
  mapping: Partial<Record<LeadField, string>>;
}

export interface ImportResult {
  dataset_id: string;
  dataset_name: string;
  row_count: number;
  refused_count: number;
  refused: Record<string, number>;
}

export interface UploadState {
  phase: 'none' | 'reading' | 'shown' | 'importing' | 'done';
  file: File | null;
  info: CsvInfo | null;
  /** The column of each field as it is chosen now; null for none. */
  mapping: Partial<Record<LeadField, string | null>>;
  result: ImportResult | null;
  fault: Fault | null;
}

export interface Upload {
  store: Store<UploadState>;
  take(file: File): Promise<void>;
  choose(field: LeadField, column: string | null): void;
  importNow(): Promise<ImportResult | null>;
  drop(): void;
}

const NOTHING: UploadState = {
  phase: 'none',
  file: null,
  info: null,
  mapping: {},
  result: null,
  fault: null,
};

export function createUpload({ client, soon }: { client: Client; soon: Soon }): Upload {
  const store = createStore<UploadState>(NOTHING, soon);

  function formOf(file: File): FormData {
    const form = new FormData();
    form.set('file', file, file.name);
    return form;
  }

  return {
    store,
    async take(file) {
      store.set({ ...NOTHING, phase: 'reading', file });
      try {
        const { csv_info: info } = await client.request<{ csv_info: CsvInfo }>(
          'POST',
          '/api/v1/upload/preview',
          formOf(file),
        );
        if (store.get().file === file) store.set({ phase: 'shown', info, mapping: info.mapping });
      } catch (error) {
        if (store.get().file === file) store.set({ phase: 'shown', fault: faultOf(error) });
      }
    },
    choose(field, column) {
      store.set(({ mapping }) => ({ mapping: { ...mapping, [field]: column } }));
    },
    async importNow() {
      const { file, mapping, phase } = store.get();
      if (file === null || phase !== 'shown') return null;
      store.set({ phase: 'importing', fault: null });
      const form = formOf(file);
      const chosen = LEAD_FIELDS.map((field) => [field, mapping[field] ?? null]);
      form.set('mapping', JSON.stringify(Object.fromEntries(chosen)));
      try {
        const result = await client.request<ImportResult>('POST', '/api/v1/datasets/import', form);
        store.set({ phase: 'done', result });
        return result;
      } catch (error) {
        const fault = faultOf(error);
        store.set({ phase: 'shown', fault: { ...fault, message: detailOf(error) ?? fault.message } });
        return null;
      }
    },
    drop: () => store.set(NOTHING),
  };
}

/** The first fault of a field that a 422 names. */
export function detailOf(error: unknown): string | null {
  if (!(error instanceof ClientError) || typeof error.body !== 'object' || error.body === null) return null;
  const { details } = error.body as { details?: { loc: (string | number)[]; msg: string }[] };
  return details?.[0]?.msg ?? null;
}
