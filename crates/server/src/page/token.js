// The token that a service may ask for: a field for it above the page's main part, and what this tab remembers of it.

const KEY = 'digits-token';
let token = null;
let field = null;

// A browser may be told to keep nothing; then the token lasts until the page is left.
try { token = sessionStorage.getItem(KEY); } catch { /* as if none was kept */ }

/** What is to be sent as `authorization`; null where no token is known. */
export const authorization = () => (token ? `Bearer ${token}` : null);

/** Takes the field away, once the service answers. */
export function accepted() {
  field?.remove();
  field = null;
}

/** Shows the field, unless another token was given since `sent` went out. */
export function ask(sent) {
  if (field || sent !== authorization()) return;
  const input = document.createElement('input');
  Object.assign(input, {
    type: 'password', required: true, autocomplete: 'off', pattern: '[A-Za-z0-9._~+\\/=\\-]+', title: 'the token as it was given out',
  });
  const label = document.createElement('label');
  const words = sent ? 'The service does not know this token. Another one: ' : 'The service asks for a token: ';
  label.append(words, input);
  const button = document.createElement('button');
  button.textContent = 'Use it';
  field = document.createElement('form');
  field.id = 'token';
  field.className = 'tools';
  field.append(label, button);
  field.addEventListener('submit', (event) => {
    // Nothing is sent: it goes with the next call.
    event.preventDefault();
    token = input.value;
    try { sessionStorage.setItem(KEY, token); } catch { /* it lasts until the page is left */ }
    accepted();
  });
  document.querySelector('main').before(field);
  input.focus();
}
