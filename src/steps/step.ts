import type * as z from 'zod';
import { UserError } from '../errors.ts';

/** What a step needs on disk for its undo: plain JSON. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * One step of a job, as the runner sees it. `Site` is what an undo works with and can be made anew after a crash (config,
 * log); `Job` is that and what the running job has gathered so far.
 */
export type Step<Site, Job extends Site> = {
  name: string;
  /** Looks and decides, without effect. What it returns is in the journal, durably, before `act` has its effect. */
  prepare: (job: Job) => Promise<Json>;
  act: (job: Job, plan: Json) => Promise<void>;
  /** Takes back what `act` did or, after a crash, may have done: finds all, part or nothing of it, and may run twice. */
  undo: (site: Site, plan: Json) => Promise<void>;
  /**
   * Removes what only an undo would have needed, once the job is committed. May run twice, or not at all: a later job of
   * the same kind has to cope with what it would have removed.
   */
  finish?: (site: Site, plan: Json) => Promise<void>;
};

/** A step whose plan has a type; `plan` checks what comes back from the journal after a crash. */
export type StepDefinition<Site, Job extends Site, Plan extends Json> = {
  name: string;
  plan: z.ZodType<Plan>;
  prepare: (job: Job) => Plan | Promise<Plan>;
  act: (job: Job, plan: Plan) => void | Promise<void>;
  undo: (site: Site, plan: Plan) => void | Promise<void>;
  finish?: (site: Site, plan: Plan) => void | Promise<void>;
};

/** Makes a step for the runner out of a typed definition. */
export function defineStep<Site, Job extends Site, Plan extends Json>(
  definition: StepDefinition<Site, Job, Plan>,
): Step<Site, Job> {
  const { name, finish } = definition;
  const plan = { parse: (value: unknown): Plan => planOf(definition, value) };
  return {
    name,
    prepare: async (job) => definition.prepare(job),
    act: async (job, value) => definition.act(job, plan.parse(value)),
    undo: async (site, value) => definition.undo(site, plan.parse(value)),
    ...(finish && { finish: async (site, value) => finish(site, plan.parse(value)) }),
  };
}

/** @throws UserError for a plan that was not written by this version, or is damaged */
function planOf<Site, Job extends Site, Plan extends Json>(
  { name, plan }: StepDefinition<Site, Job, Plan>,
  value: unknown,
): Plan {
  const parsed = plan.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new UserError(`cannot read what the journal says of step ${name}: it is damaged, or of another version`);
}
