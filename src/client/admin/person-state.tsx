import type { Role } from '../../shared/auth.ts';
import { Badge } from '../ui/badge.tsx';

/** `Admin`. Made from the role, so that a new one has a name. */
export const roleName = (role: Role) => role.charAt(0).toUpperCase() + role.slice(1);

export const RoleBadge = ({ role }: { role: Role }) =>
  role === 'user' ? roleName(role) : <Badge tone="calm">{roleName(role)}</Badge>;

export const yesOrNo = (is: boolean) => (is ? 'Yes' : 'No');
