From: =?utf-8?b?SsO2cmcgT3R0LCBBY21l?= <news@acme.example>
To: "Berg, Anna" <anna@example.com>
Reply-To: joerg@acme.example
