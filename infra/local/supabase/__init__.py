"""A local stand-in for Supabase Auth, Supabase Storage and the gateway in front of them."""
