import type { Rule } from './rule.ts';

/** Passwords and tokens that programs of people keep in their home directories. */
export const tokenRules: readonly Rule[] = [
  { places: ['~/.netrc', '~/_netrc'], what: 'password of a server', sign: /\bpassword\s+\S/ },
  {
    places: ['~/.git-credentials', '~/.config/git/credentials'],
    what: 'password or token of a Git server',
    sign: /:\/\/[^\s/:@]*:[^\s/@]+@/,
  },
  {
    places: ['~/.docker/config.json', '~/.config/containers/auth.json'],
    what: 'credentials of a container registry',
    sign: /"(auth|identitytoken|registrytoken|password)"\s*:\s*"[^"]/,
  },
  {
    places: ['~/.aws/credentials', '~/.aws/config', '~/.s3cfg', '~/.boto', '~/.config/rclone/rclone.conf'],
    what: 'keys of a cloud storage',
    sign: /^\s*(aws_secret_access_key|aws_session_token|secret_key|secret_access_key|gs_secret_access_key|pass|token)\s*=\s*\S/im,
  },
  { places: ['~/.azure/*token*', '~/.azure/*Token*'], what: 'token of Azure', sign: 'content' },
  {
    places: ['~/.config/gcloud/credentials.db', '~/.config/gcloud/application_default_credentials.json'],
    what: 'credentials of Google Cloud',
    sign: 'content',
  },
  {
    places: ['~/.kube/config', 'etc/kubernetes/*.conf', 'etc/rancher/k3s/k3s.yaml'],
    what: 'credentials of a Kubernetes cluster',
    sign: /^\s*(client-key-data|token|password)\s*:\s*[^\s#]/m,
  },
  { places: ['~/.vault-token'], what: 'token of Vault', sign: 'content' },
  {
    places: ['~/.terraformrc', '~/.terraform.d/credentials.tfrc.json'],
    what: 'token of Terraform',
    sign: /"?token"?\s*[:=]\s*"[^"]/,
  },
  {
    places: ['~/.npmrc', 'etc/npmrc'],
    what: 'token of a package registry',
    sign: /\b_(authToken|auth|password)\s*=\s*[^\s$]/,
  },
  { places: ['~/.pypirc'], what: 'password of a package registry', sign: /^\s*password\s*[=:]\s*\S/m },
  {
    places: ['~/.cargo/credentials', '~/.cargo/credentials.toml', '~/.gem/credentials'],
    what: 'token of a package registry',
    sign: /^\s*:?\w+\s*[=:]\s*\S/m,
  },
  {
    places: ['~/.composer/auth.json', '~/.config/composer/auth.json'],
    what: 'token of a package registry',
    sign: /:\s*"[^"]/,
  },
  { places: ['~/.m2/settings.xml'], what: 'password of a package registry', sign: /<(password|passphrase)>[^<]/ },
  {
    places: ['~/.config/gh/hosts.yml', '~/.config/hub', '~/.config/glab-cli/config.yml', '~/.config/hcloud/cli.toml'],
    what: 'token of an online service',
    sign: /^[\s-]*(oauth_token|token)\s*[:=]\s*[^\s#]/m,
  },
  { places: ['~/.my.cnf', '~/.mylogin.cnf'], what: 'password of a database', sign: /^\s*password\s*=\s*\S|^\0/m },
  { places: ['~/.pgpass'], what: 'password of a database', sign: /^[^#\n]*(:[^:\n]*){3}:\S/m },
  {
    places: ['~/.smbcredentials', '~/.msmtprc', '~/.fetchmailrc', '~/.config/msmtp/config'],
    what: 'password of a server',
    sign: /^\s*.*\bpassword\s*[= ]\s*\S/m,
  },
  {
    places: ['~/.vnc/passwd', '~/.config/tigervnc/passwd', '~/.x11vnc/passwd'],
    what: 'password of a remote desktop',
    sign: 'content',
  },
  {
    places: ['~/.local/share/remmina/*.remmina', '~/.remmina/*.remmina'],
    what: 'password of a remote desktop',
    sign: /^\w*password=[^.\s]/m,
  },
  {
    places: ['~/.local/share/keyrings/*.keyring', '~/.local/share/kwalletd/*.kwl'],
    what: 'keyring with passwords',
    sign: 'content',
  },
  { places: ['~/.mozilla/firefox/*/logins.json'], what: 'passwords saved in Firefox', sign: /"encryptedPassword"/ },
  {
    places: ['~/.config/google-chrome/*/Login Data', '~/.config/chromium/*/Login Data'],
    what: 'passwords saved in Chromium',
    sign: 'content',
  },
  { places: ['~/.purple/accounts.xml'], what: 'password of a chat account', sign: /<password>[^<]/ },
];
