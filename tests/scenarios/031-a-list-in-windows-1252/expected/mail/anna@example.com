Dear Jörg,
