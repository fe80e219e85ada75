import type { Role } from '../../shared/auth.ts';
import { Badge } from '../ui/badge.tsx';

/** A new role does not compile until it is described here. */
export const roleNames: Record<Role, string> = { user: 'User', admin: 'Admin' };

export const RoleBadge = ({ role }: { role: Role }) =>
  role === 'user' ? roleNames.user : <Badge tone="calm">{roleNames[role]}</Badge>;

export const yesOrNo = (is: boolean) => (is ? 'Yes' : 'No');
