import type { Rule } from './rule.ts';

/** Passwords and keys of networks. */
export const networkRules: readonly Rule[] = [
  {
    // nm-settings-keyfile(5); what the user's own agent keeps has flags and no value
    places: ['etc/NetworkManager/system-connections/*', 'usr/lib/NetworkManager/system-connections/*'],
    what: 'password of a network (NetworkManager)',
    sign: /^\s*(psk|wep-key\d|(leap-|private-key-|phase2-private-key-|proxy-)?password|secret|pin|private-key|preshared-key|Xauth password|IPSec secret)\s*=\s*(?!file:)\S/m,
  },
  {
    places: ['etc/wpa_supplicant.conf', 'etc/wpa_supplicant/*.conf'],
    what: 'Wi-Fi password (wpa_supplicant)',
    sign: /^\s*(psk|sae_password|wep_key\d|password|private_key_passwd)\s*=\s*\S/m,
  },
  {
    places: ['etc/network/interfaces', 'etc/network/interfaces.d/*'],
    what: 'Wi-Fi password (ifupdown)',
    sign: /^\s*(wpa-(psk|passphrase|password)|wireless-key\d?)\s+\S/m,
  },
  {
    places: ['etc/netplan/*.yaml', 'etc/netplan/*.yml'],
    what: 'password of a network (netplan)',
    sign: /^\s*(password|client-key-password)\s*:\s*[^\s#]/m,
  },
  {
    places: ['var/lib/iwd/*.psk', 'var/lib/iwd/*.8021x'],
    what: 'Wi-Fi password (iwd)',
    sign: /^\s*(PreSharedKey|Passphrase|.*Password)\s*=\s*\S/m,
  },
  { places: ['var/lib/connman/*/settings'], what: 'Wi-Fi password (ConnMan)', sign: /^\s*Passphrase\s*=\s*\S/m },
  {
    places: ['etc/wireguard/*.conf', 'etc/systemd/network/*.netdev'],
    what: 'private key of WireGuard',
    sign: /^\s*(PrivateKey|PresharedKey)\s*=\s*\S/m,
  },
  // `wg genkey` writes 32 bytes in base64
  { places: ['etc/wireguard/*'], what: 'key of WireGuard', sign: /^[A-Za-z0-9+/]{43}=\s*$/ },
  {
    places: ['etc/ppp/chap-secrets', 'etc/ppp/pap-secrets'],
    what: 'password of a dial-up or VPN connection',
    sign: /^\s*[^#\s]+\s+\S+\s+\S/m,
  },
  {
    places: ['etc/ipsec.secrets', 'etc/ipsec.d/*.secrets'],
    what: 'secret of a VPN (IPsec)',
    sign: /:\s*(PSK|XAUTH|EAP|PIN)\s+\S/,
  },
];
