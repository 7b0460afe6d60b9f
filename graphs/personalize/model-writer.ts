/** Writes with a model: strict JSON out, lead fields in as fenced data, one try to repair an answer in another form. */

import { z } from 'zod';
import type { Model, ModelSink, PlainMessage } from '../../src/engine/model.ts';
import type { Prompt, Prompts } from '../../src/engine/prompts.ts';
import { ServiceError } from '../../src/errors.ts';
import type { PersonalizeUsage } from './state.ts';
import type { Writer, WriterBrief } from './writer.ts';

const commonalities = z.object({
  commonalities: z
    .array(
      z.object({
        text: z.string().min(1).max(500),
        field: z.string().min(1).max(100),
        quote: z.string().min(1).max(500),
      }),
    )
    .max(10),
});

const draft = z.object({
  subject: z.string().min(1).max(998),
  body: z.string().min(1).max(50_000),
  claims: z.array(z.object({ field: z.string().max(100), quote: z.string().max(500) })).max(50),
});

/** The graph reads whole answers only. */
const SILENT: ModelSink = {
  text() {},
  reasoning() {},
  toolStart() {},
  toolArgs() {},
};

const NO_TOOLS: [] = [];

export function createModelWriter({ model, prompts }: { model: Model; prompts: Prompts }): Writer {
  const find = prompts.get('personalize/find_commonalities');
  const write = prompts.get('personalize/write_email');

  /** Asks for JSON; throws `MODEL_REFUSED` where the second answer is in another form too. */
  async function ask<Schema extends z.ZodType>(
    prompt: Prompt,
    system: string,
    given: object,
    schema: Schema,
    { signal, spent }: Pick<WriterBrief, 'signal' | 'spent'>,
  ): Promise<{ value: z.output<Schema>; usage: PersonalizeUsage }> {
    const messages: PlainMessage[] = [
      { role: 'system', content: system },
      { role: 'user', content: JSON.stringify(given) },
    ];
    const usage = { input_tokens: 0, output_tokens: 0, model_calls: 0 };
    for (const last of [false, true]) {
      const answer = await model.call({
        messages,
        tools: NO_TOOLS,
        sink: SILENT,
        signal,
        temperature: prompt.temperature,
        model: prompt.model,
      });
      const { inputTokens: input_tokens, outputTokens: output_tokens } = answer.usage;
      spent?.({ input_tokens, output_tokens, model_calls: 1 });
      usage.input_tokens += input_tokens;
      usage.output_tokens += output_tokens;
      usage.model_calls += 1;
      // An answer that was cut short may still parse, and would say less than was meant.
      const parsed = answer.finishReason === 'stop' ? schema.safeParse(parseJson(answer.content)) : null;
      if (parsed?.success === true) return { value: parsed.data, usage };
      if (last) break;
      const fault = parsed === null ? 'It was cut short.' : z.prettifyError(parsed.error).slice(0, 500);
      messages.push(
        { role: 'assistant', content: answer.content },
        {
          role: 'user',
          content: `That is not the JSON object asked for. ${fault}\nAnswer with that object and nothing else.`,
        },
      );
    }
    throw new ServiceError('MODEL_REFUSED', 'The model did not answer in the form asked for. Try again.');
  }

  return {
    name: model.name,

    async findCommonalities({ facts, sender, ...brief }) {
      const given = { lead: fenced(facts), sender };
      const { value, usage } = await ask(find, find.render({}), given, commonalities, brief);
      return { commonalities: value.commonalities, usage };
    },

    async writeEmail({ facts, sender, commonality, instructions, template, guidance, faults, ...brief }) {
      const given = {
        lead: fenced(facts),
        commonality: commonality === null ? null : fenced(commonality),
        sender,
        ...(instructions !== '' && { instructions }),
        ...(template !== null && { template }),
        ...(faults.length > 0 && { faults: fenced(faults) }),
      };
      const { value, usage } = await ask(write, write.render({ guidance }), given, draft, brief);
      return { draft: value, usage };
    },
  };
}

/** Marks what strangers wrote (contract, x-policies.untrusted_content). */
function fenced(content: unknown) {
  return { __untrusted_third_party_content: true, content };
}

/** The object in the answer; models like to put it between lines of ```. */
function parseJson(content: string): unknown {
  const inner = /^\s*```(?:json)?\s*\n(.*)\n\s*```\s*$/s.exec(content)?.[1] ?? content;
  try {
    return JSON.parse(inner);
  } catch {
    return undefined;
  }
}
