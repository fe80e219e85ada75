/** Tells password managers whose password a form is about, where it does not ask for the email. */
export function AccountName({ email }: { email: string }) {
  return <input type="email" name="email" autoComplete="username" value={email} readOnly hidden />;
}
