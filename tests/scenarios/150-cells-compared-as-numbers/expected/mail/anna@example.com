welcome back, few
