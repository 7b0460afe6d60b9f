/** The saver of a graph that is compiled once for all runs: each run brings its own checkpointer in its config. */

import type { RunnableConfig } from '@langchain/core/runnables';
import {
  BaseCheckpointSaver,
  type Checkpoint,
  type CheckpointListOptions,
  type CheckpointMetadata,
  type CheckpointTuple,
  type PendingWrite,
} from '@langchain/langgraph-checkpoint';

/** The key in a run's `configurable` under which its checkpointer stands. */
const SAVER = 'saver';

/** What a run adds to its `configurable`, so that the graph's checkpoints are kept by `saver`. */
export function withSaver(saver: BaseCheckpointSaver): Record<string, unknown> {
  return { [SAVER]: saver };
}

/** Makes the saver to compile with; it keeps nothing itself. Throws where a run has brought none. */
export function createCheckpointerOfRun(): BaseCheckpointSaver {
  return new CheckpointerOfRun();
}

class CheckpointerOfRun extends BaseCheckpointSaver {
  override getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    return saverOf(config).getTuple(config);
  }

  override list(config: RunnableConfig, options?: CheckpointListOptions): AsyncGenerator<CheckpointTuple> {
    return saverOf(config).list(config, options);
  }

  override put(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: Record<string, string | number>,
  ): Promise<RunnableConfig> {
    return saverOf(config).put(config, checkpoint, metadata, newVersions);
  }

  override putWrites(
    config: RunnableConfig,
    writes: PendingWrite[],
    taskId: string,
    path?: string,
  ): Promise<void> {
    return saverOf(config).putWrites(config, writes, taskId, path);
  }

  override async deleteThread(): Promise<void> {
    throw new Error('a thread is removed by the checkpointer of its run');
  }
}

function saverOf({ configurable }: RunnableConfig): BaseCheckpointSaver {
  const saver: unknown = configurable?.[SAVER];
  if (saver instanceof BaseCheckpointSaver) return saver;
  throw new Error('the graph was started without a checkpointer');
}
