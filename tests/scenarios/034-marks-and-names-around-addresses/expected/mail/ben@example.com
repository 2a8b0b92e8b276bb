To: Ben Ott <ben@example.com>
