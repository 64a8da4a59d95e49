// The bearer token of a service: a form above the main part of the page, and the token in the
// storage of this tab.

const KEY = 'digits-token';
let token = null;
let form = null;

// A browser may forbid storage. Then the token lasts until the page is left.
try { token = sessionStorage.getItem(KEY); } catch { /* none is stored */ }

/** The value of the header `authorization`; null without a token. */
export const authorization = () => (token ? `Bearer ${token}` : null);

/** Removes the form, once a call was authenticated. */
export function hideForm() {
  form?.remove();
  form = null;
}

/** Shows the form, unless another token was entered since `sent` was sent. */
export function showForm(sent) {
  if (form || sent !== authorization()) return;
  const input = document.createElement('input');
  Object.assign(input, {
    type: 'password', required: true, autocomplete: 'off', pattern: '[A-Za-z0-9._~+\\/=\\-]+', title: 'the token as it was issued',
  });
  const label = document.createElement('label');
  const text = sent ? 'The service does not know this token. Another one: ' : 'The service needs a token: ';
  label.append(text, input);
  const button = document.createElement('button');
  button.textContent = 'Use it';
  form = document.createElement('form');
  form.id = 'token';
  form.className = 'tools';
  form.append(label, button);
  form.addEventListener('submit', (event) => {
    // The token is sent with the next call.
    event.preventDefault();
    token = input.value;
    try { sessionStorage.setItem(KEY, token); } catch { /* kept until the page is left */ }
    hideForm();
  });
  document.querySelector('main').before(form);
  input.focus();
}
