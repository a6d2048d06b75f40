/** All questions, in the order they are asked. */
import type { Question } from './question.ts';
import { handshakes } from './questions/handshakes.ts';

export const QUESTIONS: readonly Question[] = [handshakes];
