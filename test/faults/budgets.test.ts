import { provesBudgets } from './budgets.ts';

provesBudgets({ loops: 6, balances: 1 });
