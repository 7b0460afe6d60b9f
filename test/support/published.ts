/** Whether answers are what the service publishes of them in /openapi.json. */

import { Ajv2020 } from 'ajv/dist/2020.js';
import { type JsonSchema, recordOf } from './json-schema.ts';

const FORMATS = {
  uuid: /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i,
  email: /^[^\s@]+@[^\s@]+$/,
  // Of our own: UTC, as every timestamp is told (design.md §5).
  'date-time': /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$/,
  binary: true,
} as const;

export interface Published {
  /** The operation as it is told; throws where it is not. */
  operation(method: string, path: string): JsonSchema;
  /** What is wrong with an answer of the operation, or null. `body` is undefined where the answer is no JSON. */
  faultOf(method: string, path: string, status: number, type: string, body: unknown): string | null;
}

/** Reads the document that the service at `url` publishes. */
export async function readPublished(url: string): Promise<Published> {
  const document = recordOf(await (await fetch(`${url}/openapi.json`)).json());
  const ajv = new Ajv2020({ strict: false, allErrors: true, formats: FORMATS, validateFormats: true });
  ajv.addSchema({ ...document, $id: 'published' });

  const published: Published = {
    operation(method, path) {
      const operation = recordOf(recordOf(document.paths)[path])[method.toLowerCase()];
      if (operation === undefined) throw new Error(`${method} ${path} is not published`);
      return recordOf(operation);
    },

    faultOf(method, path, status, type, body) {
      const response = recordOf(published.operation(method, path).responses)[String(status)];
      if (response === undefined) return `the status ${status} is not published`;
      const reference = recordOf(response).$ref;
      const place =
        typeof reference === 'string'
          ? reference.slice(1)
          : `/paths/${escaped(path)}/${method.toLowerCase()}/responses/${status}`;
      const told = place
        .slice(1)
        .split('/')
        .reduce((node, step) => recordOf(node[unescaped(step)]), document);
      const types = Object.keys(recordOf(told.content));
      const media = type.split(';')[0] ?? '';
      if (types.length === 0) return media === '' ? null : `a body of ${media} is not published`;
      // What a file holds is not said beforehand; a page is a text.
      if (types.includes('application/octet-stream')) return null;
      if (types.includes('text/plain') && media.startsWith('text/')) return null;
      if (!types.includes(media)) return `${media || 'no body'} is not published, but ${types.join(', ')}`;
      if (media !== 'application/json') return null;
      const validate = ajv.getSchema(`published#${place}/content/application~1json/schema`);
      if (validate === undefined) return `there is no schema at ${place}`;
      return validate(body) === true ? null : ajv.errorsText(validate.errors);
    },
  };
  return published;
}

function escaped(step: string): string {
  return step.replaceAll('~', '~0').replaceAll('/', '~1');
}

function unescaped(step: string): string {
  return step.replaceAll('~1', '/').replaceAll('~0', '~');
}
