import { provesBudgets } from '../budgets.ts';

provesBudgets({ loops: 60, balances: 4 });
