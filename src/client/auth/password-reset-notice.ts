/** State of the history entry of the login page, after a password was reset. */
export const PASSWORD_RESET = 'password-reset';
