From: "Eva, Acme" <news@acme.example>
To: Ben <ben@example.com>
Reply-To: "Eva, the owner" <eva@acme.example>
